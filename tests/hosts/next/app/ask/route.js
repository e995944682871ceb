import { ask } from "../../../tracing.mjs";

export const dynamic = "force-dynamic";

export async function POST(request) {
  const { text } = await request.json();
  return Response.json(await ask(request.headers, text));
}
