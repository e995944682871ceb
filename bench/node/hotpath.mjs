/** What an observation costs the main thread, and the process until it is delivered. */
import { open } from "./libraries.mjs";
import { mainThread, wholeProcess } from "./usage.mjs";
import { Sum, Writer } from "./words.mjs";

const [library, publicKey, size] = process.argv.slice(2);
const SMALL = size === "small";
// A block stays below langfuse's queue of 2,048 spans, above which it would drop; flushed after each.
const [CALLS, PER_CALL] = SMALL ? [400, 3] : [60, 1];
const BLOCKS = 8;
const WARM_UP = 10;

const { startActiveObservation, flush } = await open(library, { publicKey });

/** Three observations, each inside the other. */
function nested([agent, search, write]) {
  startActiveObservation(
    "answer",
    (outer) => {
      outer.update({ input: agent.input });
      startActiveObservation(
        "search",
        (step) => {
          step.update({ input: search.input });
          startActiveObservation(
            "write",
            (generation) => {
              generation.update({ input: write.input, model: "demo-model-1" });
              generation.update({ output: write.output, usageDetails: { input: 120, output: 48 } });
            },
            { asType: "generation" },
          );
          step.update({ output: search.output });
        },
        { asType: "retriever" },
      );
      outer.update({ output: agent.output });
    },
    { asType: "agent" },
  );
}

function single([large]) {
  startActiveObservation(
    "write",
    (generation) => {
      generation.update({ input: large.input, model: "demo-model-1" });
      generation.update({ output: large.output });
    },
    { asType: "generation" },
  );
}

const work = SMALL ? nested : single;
const writer = new Writer(5);
const sent = new Sum();
const blocks = { wall: [], calling: [], main: [], cpu: [] };
for (let block = -WARM_UP; block < BLOCKS; block += 1) {
  // Payloads are made outside of the measured time.
  const payloads = Array.from({ length: CALLS }, () => (SMALL ? writer.small() : writer.large()));
  for (const payload of payloads) for (const { input, output } of payload) sent.add(input, output);
  const beganMain = mainThread();
  const beganCpu = wholeProcess();
  const began = performance.now();
  for (const payload of payloads) work(payload);
  const called = performance.now() - began;
  const calledMain = mainThread();
  await flush();
  if (block < 0) continue;
  blocks.cpu.push(wholeProcess() - beganCpu);
  blocks.main.push(mainThread() - beganMain);
  blocks.calling.push(calledMain - beganMain);
  blocks.wall.push(called * 1000);
}
// The least of the blocks: what else runs on the machine only ever adds.
const least = Object.fromEntries(Object.entries(blocks).map(([name, found]) => [name, Math.min(...found) / (CALLS * PER_CALL)]));
console.log(JSON.stringify({ ...least, count: sent.count, hash: String(sent) }));
