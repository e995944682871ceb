// Main-thread microseconds per observation: the processor time of that thread, so that what else runs on the machine counts little.
// What is sent is flushed between rounds, outside of the time.
// `node bench/hotpath.mjs`, or with `--cpu-prof` to see where they go. Needs a collector: LANGFUSE_BASE_URL and keys.
import { readFileSync } from "node:fs";

import { Client, propagateAttributes, startActiveObservation, startObservation } from "tracespool";

/** Microseconds that the main thread has run; of the clock where the system does not tell. */
const ran = () => {
  try {
    return Number(readFileSync("/proc/self/schedstat", "utf8").split(" ")[0]) / 1000;
  } catch {
    return performance.now() * 1000;
  }
};

const client = new Client({ publicKey: "pk-hotpath", secretKey: "sk-hotpath", baseUrl: process.env.LANGFUSE_BASE_URL ?? "http://127.0.0.1:3000" });
const rounds = Number(process.env.ROUNDS ?? 30);
const input = { messages: [{ role: "user", content: "What is the weather in Paris today?" }], temperature: 0.5 };
const output = { role: "assistant", content: "It is sunny and 21 degrees." };
const large = { text: "lorem ipsum ".repeat(1700) };
const answer = (x) => ({ x });
const observed = client.observe(answer);

const work = {
  "three nested, active": [3, () => {
    client.startActiveObservation("request", (request) => {
      request.update({ input: "question" });
      startActiveObservation("retrieve", (retrieve) => {
        retrieve.update({ input: "question", output: "documents" });
        startActiveObservation("answer", (generation) => generation.update({ model: "gpt-4", input, output, usageDetails: { input: 10, output: 5 } }), { asType: "generation" });
      });
      request.update({ output: "answer" });
    });
  }],
  "active, nothing said": [1, () => client.startActiveObservation("empty", () => undefined)],
  "generation by hand": [1, () => client.startObservation("answer", { input, model: "gpt-4" }, { asType: "generation" }).update({ output }).end()],
  "observe": [1, () => observed(5)],
  "20 KB": [1, () => client.startObservation("large", { input: large, output: large.text }).end()],
  "propagateAttributes and one": [1, () => client.use(() => propagateAttributes({ userId: "u1", sessionId: "s1" }, () => startObservation("one").end()))],
};

const only = process.argv[2];
for (const [name, [count, run]] of Object.entries(work)) {
  if (only && !name.startsWith(only)) continue;
  const times = name === "20 KB" ? 100 : 1000;
  let total = 0;
  for (let round = 0; round < rounds + 3; round += 1) {
    const began = ran();
    for (let at = 0; at < times; at += 1) run();
    // The first rounds are the compiler's.
    if (round >= 3) total += ran() - began;
    await client.flush();
  }
  console.log(`${name.padEnd(28)} ${(total / (rounds * times * count)).toFixed(2)} us`);
}
