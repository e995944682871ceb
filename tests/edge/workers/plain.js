// Nobody says when a request is over: what is traced goes out all the same.
import { startActiveObservation } from "tracespool";

export default {
  async fetch(request, env) {
    for (let number = 0; number < 3; number += 1) {
      startActiveObservation(`root-${number}`, (root) => root.update({ input: number }));
    }
    return new Response("ok");
  },
};
