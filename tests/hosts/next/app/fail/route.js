import { fail } from "../../../tracing.mjs";

export const dynamic = "force-dynamic";

export async function GET(request) {
  return Response.json(await fail(request.headers));
}
