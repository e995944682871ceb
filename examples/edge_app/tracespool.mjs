/** The Worker with tracespool: `withTracing` sends what a request traced when it is answered. */
import { Client, propagateAttributes, withTracing } from "tracespool";
import { serve } from "./service.mjs";

export default withTracing({
  fetch: serve((keys) => {
    // A look-up where the keys are known.
    const client = new Client(keys);
    return {
      propagateAttributes,
      // Inside of an observation its client is the current one: only the first has to be told.
      startActiveObservation: (name, body, options) => client.startActiveObservation(name, body, options),
    };
  }),
});
