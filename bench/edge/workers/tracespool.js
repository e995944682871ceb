import { flushAll, startActiveObservation } from "tracespool";

export default {
  async fetch(request, env, ctx) {
    const count = Number(new URL(request.url).searchParams.get("n"));
    let sum = 0;
    for (let at = 0; at < count; at += 1) {
      const input = { question: `number ${at}`, more: ["a", "b"] };
      sum += startActiveObservation("step", (step) => {
        step.update({ input, output: "done" });
        return JSON.stringify(input).length;
      });
    }
    ctx.waitUntil(flushAll());
    return new Response(String(sum));
  },
};
