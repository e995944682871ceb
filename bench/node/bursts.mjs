/** Bursts: what was started here, and what the library says of it. */
import { setTimeout as sleep } from "node:timers/promises";
import { open } from "./libraries.mjs";
import { Writer } from "./words.mjs";

const [library, publicKey, scenario] = process.argv.slice(2);
// A trace is a root and what happened in it; the root ends last.
const PER_TRACE = 5;

const api = await open(library, { publicKey, ...(scenario === "each" ? { flushAt: 1 } : {}) });
const writer = new Writer(3);
const texts = Array.from({ length: 500 }, () => writer.text(scenario === "tick-2k" ? 1950 : 150));
let made = 0;

function trace(size = PER_TRACE) {
  const root = api.startObservation("request", { input: { text: texts[made % texts.length] } });
  for (let turn = 1; turn < size; turn += 1) {
    const text = texts[(made + turn) % texts.length];
    root.startObservation("step", { input: { text } }).end();
  }
  root.end();
  made += size;
}

const scenarios = {
  /** All of it before anything else gets a turn. */
  tick: (count) => {
    while (made < count) trace();
  },
  /** At a rate per second, for some seconds. */
  steady: async (rate, seconds) => {
    const began = performance.now();
    while (made < rate * seconds) {
      const due = Math.min(rate * seconds, ((performance.now() - began) / 1000) * rate);
      while (made < due) trace();
      await sleep(5);
    }
  },
  /** One at a time, each with a flush of its own that nobody waits for. */
  each: async (count) => {
    const flushes = [];
    while (made < count) {
      trace(1);
      flushes.push(api.flush());
    }
    await Promise.all(flushes);
  },
};

const began = performance.now();
if (scenario === "steady") await scenarios.steady(5000, 1);
else if (scenario === "each") await scenarios.each(200);
else scenarios.tick(50_000);
const traced = performance.now() - began;
const said = await api.shutdown();
console.log(JSON.stringify({ made, traced, took: performance.now() - began, said, stats: api.stats() }));
