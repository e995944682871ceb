import { DurableObject } from "cloudflare:workers";
import { startActiveObservation, withTracing } from "tracespool";

class Counter extends DurableObject {
  async fetch() {
    return startActiveObservation("counted", () => new Response("counted"));
  }
}

const Traced = withTracing(Counter);
export { Traced as Counter };

export default {
  fetch: (request, env) => env.COUNTER.get(env.COUNTER.idFromName("one")).fetch(request),
};
