/** Everything pending, one flush, and then the end of the process. */
import { open } from "./libraries.mjs";

const [library, publicKey] = process.argv.slice(2);
const OBSERVATIONS = 50;
const TIMEOUT = 1000;

// Batches so large that nothing leaves before the flush: all of it is pending, and the report speaks of all of it.
const api = await open(library, { publicKey, flushAt: 512, ...(library === "langfuse" ? { timeout: TIMEOUT / 1000 } : {}) });
for (let number = 0; number < OBSERVATIONS; number += 1) {
  api.startObservation(`step-${number}`, { input: { text: "word ".repeat(100) } }).end();
}
const began = performance.now();
const said = await api.flush(TIMEOUT);
const took = performance.now() - began;
process.stdout.write(`${JSON.stringify({ made: OBSERVATIONS, took, said, leaving: Date.now() })}\n`);
