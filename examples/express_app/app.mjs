/**
 * A service that traces with tracespool:
 *
 *     PORT=3000 node app.mjs
 *
 * `TRACING=off` runs the same service untraced: the baseline of the demo.
 */
import { serve } from "./service.mjs";

if (process.env.TRACING === "off") {
  const { untraced } = await import("./untraced.mjs");
  serve(() => untraced, async () => {});
} else {
  const { Client, cleanupAllClients, propagateAttributes } = await import("tracespool");
  serve(
    (keys) => {
      // A look-up where the keys are known.
      const client = new Client(keys);
      return {
        propagateAttributes,
        // Inside of an observation its client is the current one: only the first has to be told.
        startActiveObservation: (name, body, options) => client.startActiveObservation(name, body, options),
        scoreTrace: (observation, score) => client.score.trace(observation, score),
        scoreObservation: (observation, score) => client.score.observation(observation, score),
      };
    },
    () => cleanupAllClients({ timeout: 3000 }),
  );
}
