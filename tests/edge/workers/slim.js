// Bring your own module.
import module from "tracespool/core.wasm";
import { setModule, startObservation, withTracing } from "tracespool/slim";

setModule(module, { eager: true });

export default withTracing({
  async fetch() {
    startObservation("slim").end();
    return new Response("ok");
  },
});
