/** What 200 clients of 200 keys cost. */
import { register } from "./libraries.mjs";
import { median, residentKib, threads } from "./usage.mjs";

const [library, tag] = process.argv.slice(2);
const CLIENTS = 200;
const PER_BLOCK = 60;
// langfuse takes milliseconds for each where it has 200 processors, and has a queue of 2,048.
const BLOCKS = library === "tracespool" ? 100 : 20;
const key = (number) => `pk-lf-${tag}-${number}`;
const count = (found) => Object.values(found).reduce((sum, number) => sum + number, 0);

/** Microseconds for one observation: the least of blocks, so that what else runs on the machine counts little. */
function cost(startObservation) {
  const blocks = [];
  for (let block = 0; block < BLOCKS; block += 1) {
    const began = performance.now();
    for (let turn = 0; turn < PER_BLOCK; turn += 1) {
      startObservation("step", { input: { question: "where is it" } }).update({ output: { answer: "here" } }).end();
    }
    blocks.push(((performance.now() - began) / PER_BLOCK) * 1000);
  }
  return Math.min(...blocks);
}

const told = { threads: 0, made: 0, used: 0, fresh: 0, known: 0, one: 0, many: 0, ratio: 0 };
if (library === "tracespool") {
  const { Client } = await import("tracespool");
  const make = (publicKey) => new Client({ publicKey, secretKey: `sk-${publicKey}` });
  const first = make(key("first"));
  const start = (name, attributes) => first.startObservation(name, attributes);
  for (let turn = 0; turn < 3; turn += 1) {
    cost(start);
    await first.flush({ timeout: 10_000 });
  }
  told.one = cost(start);
  await first.flush({ timeout: 10_000 });
  const before = { threads: count(threads()), rss: residentKib() };
  const clients = [];
  const fresh = [];
  for (let number = 0; number < CLIENTS; number += 1) {
    const began = performance.now();
    clients.push(make(key(number)));
    fresh.push(performance.now() - began);
  }
  const known = [];
  for (let number = 0; number < CLIENTS; number += 1) {
    const began = performance.now();
    make(key(number));
    known.push(performance.now() - began);
  }
  told.made = (residentKib() - before.rss) / CLIENTS;
  for (const [number, client] of clients.entries()) client.startObservation("once", { input: { mine: key(number) } }).end();
  await Promise.all(clients.map((client) => client.flush({ timeout: 20_000 })));
  told.used = (residentKib() - before.rss) / CLIENTS;
  told.threads = count(threads()) - before.threads;
  told.fresh = median(fresh) * 1000;
  told.known = median(known) * 1000;
  cost(start);
  await first.flush({ timeout: 10_000 });
  told.many = cost(start);
  await first.flush({ timeout: 10_000 });
} else {
  // On one provider, which `startObservation` writes to: a processor for each key.
  const { startObservation } = await import("@langfuse/tracing");
  const { trace } = await import("@opentelemetry/api");
  const provider = await register({ publicKey: key("first") });
  cost(startObservation);
  await provider.forceFlush();
  told.one = cost(startObservation);
  await provider.forceFlush();
  trace.disable();
  const before = { threads: count(threads()), rss: residentKib() };
  const began = performance.now();
  const crowd = await register(...Array.from({ length: CLIENTS }, (_, number) => ({ publicKey: key(number) })));
  told.fresh = ((performance.now() - began) / CLIENTS) * 1000;
  told.made = (residentKib() - before.rss) / CLIENTS;
  startObservation("once", { input: { mine: "all" } }).end();
  await crowd.forceFlush();
  told.used = (residentKib() - before.rss) / CLIENTS;
  told.threads = count(threads()) - before.threads;
  told.many = cost(startObservation);
  await crowd.forceFlush().catch(() => {});
}
told.ratio = told.many / told.one;
console.log(JSON.stringify(told));
process.exit(0);
