import { startObservation, withTracing } from "tracespool";

export default withTracing({
  async fetch(request) {
    startObservation("request", { input: request.url }).end();
    return new Response("ok");
  },
});
