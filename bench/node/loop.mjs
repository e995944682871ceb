/** A service at a steady rate: how late its event loop gets. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setImmediate as turn } from "node:timers/promises";
import { open } from "./libraries.mjs";
import { Writer } from "./words.mjs";

const [library, publicKey, seconds] = process.argv.slice(2);
const EVERY_MS = 5;
const PAYLOADS = 200;

const { startActiveObservation, flush } = await open(library, { publicKey });
const writer = new Writer(5);
const payloads = Array.from({ length: PAYLOADS }, () => ({ small: writer.small(), large: writer.large() }));
let requests = 0;

/** What a request does by itself: reads a body, waits for a model twice, writes an answer. */
async function request({ small, large }) {
  await startActiveObservation("answer", async (outer) => {
    outer.update({ input: JSON.parse(JSON.stringify(small[0].input)) });
    await turn();
    await startActiveObservation("search", async (step) => {
      step.update({ input: small[1].input });
      await turn();
      step.update({ output: small[1].output });
    });
    await startActiveObservation(
      "write",
      async (generation) => {
        generation.update({ input: large[0].input, model: "demo-model-1" });
        await turn();
        generation.update({ output: large[0].output });
      },
      { asType: "generation" },
    );
    outer.update({ output: small[0].output });
  });
  JSON.stringify(large);
  requests += 1;
}

async function serve(milliseconds) {
  const ended = performance.now() + milliseconds;
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      if (performance.now() > ended) {
        clearInterval(timer);
        resolve();
      } else void request(payloads[requests % PAYLOADS]);
    }, EVERY_MS);
  });
}

await serve(1000);
requests = 0;
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
await serve(Number(seconds) * 1000);
delay.disable();
const served = requests;
await flush();
console.log(
  JSON.stringify({
    p50: delay.percentile(50) / 1e6,
    p99: delay.percentile(99) / 1e6,
    p999: delay.percentile(99.9) / 1e6,
    worst: delay.max / 1e6,
    requests: served,
  }),
);
