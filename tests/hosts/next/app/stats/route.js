import { look } from "../../../tracing.mjs";

export const dynamic = "force-dynamic";

export function GET() {
  return Response.json(look());
}
