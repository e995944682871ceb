import { stream } from "../../../tracing.mjs";

export const dynamic = "force-dynamic";

export function GET(request) {
  return new Response(stream(request.headers), { headers: { "content-type": "text/plain" } });
}
