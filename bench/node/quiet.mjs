/** Fifty flushes to a server that never answers, while the process does what libuv's workers are for. */
import { lookup } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { open } from "./libraries.mjs";

const [library, publicKey] = process.argv.slice(2);
const FLUSHES = 50;
const TIMEOUT = 2000;

const api = await open(library, { publicKey });
const took = { readFile: [], lookup: [] };

async function timed(name, work) {
  const began = performance.now();
  await work();
  took[name].push(performance.now() - began);
}

/** What the process does besides, for as long as the flushes wait. */
async function besides(milliseconds) {
  const ended = performance.now() + milliseconds;
  while (performance.now() < ended) {
    await Promise.all([timed("readFile", () => readFile(import.meta.filename)), timed("lookup", () => lookup("localhost"))]);
    await sleep(5);
  }
}

await besides(500);
const before = { readFile: Math.max(...took.readFile), lookup: Math.max(...took.lookup) };
took.readFile = [];
took.lookup = [];
const flushes = Array.from({ length: FLUSHES }, (_, number) => {
  api.startObservation(`step-${number}`, { input: { number } }).end();
  return api.flush(TIMEOUT);
});
await besides(TIMEOUT - 200);
await Promise.all(flushes);
process.stdout.write(
  `${JSON.stringify({ before, readFile: Math.max(...took.readFile), lookup: Math.max(...took.lookup), times: took.readFile.length })}\n`,
);
process.exit(0);
