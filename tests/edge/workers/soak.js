// The same work traced and untraced: which, says a binding.
import { env } from "cloudflare:workers";
import { startActiveObservation, startObservation, stats, withTracing } from "tracespool";
import { home } from "tracespool/internal";

const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

async function untraced(request) {
  await turn();
  return new Response(request.url);
}

async function traced(request) {
  return startActiveObservation("request", async (root) => {
    root.update({ input: { url: request.url }, metadata: { host: "workerd" } });
    await turn();
    const generation = startObservation("answer", { model: "gpt", input: "question" }, { asType: "generation" });
    generation.update({ output: "answer", usageDetails: { input: 1, output: 2 } }).end();
    startObservation("leaf").end();
    return new Response(request.url);
  });
}

const handler = env.TRACED === "1" ? withTracing({ fetch: traced }) : { fetch: untraced };

export default {
  fetch(request, bindings, context) {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/collect":
        globalThis.gc();
        return new Response("collected");
      case "/state":
        return Response.json({
          module: home.backend?.driver.core.memory.buffer.byteLength ?? 0,
          observations: env.TRACED === "1" ? stats().observations : undefined,
        });
      default:
        return handler.fetch(request, bindings, context);
    }
  },
};
