/** The web service around the agent, as a Worker. Each request brings the keys of the user who sends it. */
import { answer } from "../express_app/agent.mjs";

/**
 * @param tracingOf what traces a request with these keys.
 */
export function serve(tracingOf) {
  return async (request, env, context) => {
    if (new URL(request.url).pathname !== "/ask") return new Response("there is /ask alone", { status: 404 });
    const keys = { publicKey: request.headers.get("x-public-key"), secretKey: request.headers.get("x-secret-key") };
    const { text } = await request.json();
    const tracing = { ...(await tracingOf(keys, env, context)), ...unscored };
    const found = await answer(tracing, request.headers.get("x-user") ?? "anonymous", text);
    return Response.json({ ...found, scores: 0 });
  };
}

/** With the langfuse packages scores need a third one, `@langfuse/client`: none are sent, by either. */
const unscored = { scoreTrace: () => {}, scoreObservation: () => {} };
