import assert from "node:assert/strict";
import { before, test } from "node:test";

import * as t from "tracespool";
import { home } from "tracespool/internal";
import { collector, freshKey, pause, run } from "./collector.mjs";
import { fresh, lines } from "./fresh.mjs";

let server;
before(async () => {
  server = await collector();
});

test("the current client: the key, what is current, the environment's, the only one, none", async () => {
  await t.cleanupAllClients({ timeout: 0 });
  assert.equal((await lines(() => assert.equal(t.getClient().enabled, false))).length, 1);
  const one = fresh(server);
  assert.equal(t.getClient().publicKey, one.key);
  assert.equal(t.getClient(), one.client);
  const two = fresh(server);
  assert.equal(t.getClient(one.key), one.client);
  assert.equal(t.getClient({ publicKey: two.key }), two.client);
  two.client.use(() => assert.equal(t.getClient(), two.client));
  one.client.startActiveObservation("x", () => assert.equal(t.getClient(), one.client));
  process.env.LANGFUSE_PUBLIC_KEY = two.key;
  assert.equal(t.getClient(), two.client);
  delete process.env.LANGFUSE_PUBLIC_KEY;
  assert.equal((await lines(() => assert.equal(t.getClient("pk-unknown").enabled, false))).length, 1);
  await t.cleanupClient(one.key);
  assert.equal(t.getClient().publicKey, two.key);
});

test("one made in the environment's name", async () => {
  await t.cleanupAllClients({ timeout: 0 });
  const key = freshKey();
  Object.assign(process.env, { LANGFUSE_PUBLIC_KEY: key, LANGFUSE_SECRET_KEY: "sk-1", LANGFUSE_BASE_URL: server.url, LANGFUSE_TRACING_ENVIRONMENT: "from-env" });
  try {
    t.startObservation("by environment").end();
    assert.equal(t.getClient().environment, "from-env");
    await t.getClient().flush();
  } finally {
    for (const name of ["PUBLIC_KEY", "SECRET_KEY", "BASE_URL", "TRACING_ENVIRONMENT"]) {
      delete process.env[`LANGFUSE_${name}`];
    }
  }
  assert.equal((await server.observations(key))["by environment"].environment, "from-env");
});

test("bad options: one line that names the option, never a secret, and nothing is thrown", async () => {
  const told = await lines(() => {
    const client = new t.Client({ publicKey: freshKey(), secretKey: 12345, baseUrl: server.url, sampleRate: "half", unknown: 1, exportMode: "immediate" });
    assert.equal(client.enabled, false);
    new t.Client(null);
    new t.Client({ publicKey: freshKey(), secretKey: "sk-secret", baseUrl: server.url, sampleRate: 7 });
    t.stats();
  });
  const all = told.join("\n");
  assert.match(all, /secretKey is no string/);
  assert.match(all, /sampleRate is no number/);
  assert.match(all, /no option "unknown"/);
  assert.match(all, /exportMode has no effect/);
  assert.ok(!all.includes("12345") && !all.includes("sk-secret"), all);
});

test("nothing that an application passes makes it throw", async () => {
  const { client } = fresh(server);
  const odd = [undefined, null, 5, "x", Symbol("s"), {}, [], () => 1, Object.create(null), new Proxy({}, { get() { throw new Error("no"); }, ownKeys() { throw new Error("no"); } })];
  await lines(() => {
    for (const value of odd) {
      const observation = client.startObservation(value, value, { asType: value, startTime: value, parentSpanContext: typeof value === "object" ? undefined : value });
      observation.update?.(value);
      observation.update?.({ input: value, metadata: value, level: value, prompt: value ?? {}, usageDetails: value, completionStartTime: value, model: value, version: value, statusMessage: value, environment: value });
      observation.otelSpan.setAttribute(value, value).setAttributes(value).setStatus(value).updateName(value);
      observation.score(value);
      observation.fail(value).setTraceIO(value).setTraceAsPublic();
      observation.end(value);
      client.score(value);
      client.scoreActiveTrace(value);
      t.propagateAttributes(value, () => 1);
      t.updateActiveObservation(value);
      t.getClient(value);
      t.onDrop(value)();
      t.observe(value);
      t.inject({});
      t.extract(typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype ? value : {});
      new t.LangfuseMedia(value);
    }
  });
  await client.flush({ timeout: "soon" });
  await client.flush(null);
});

test("flush reports the truth, waits for what is under way, and never rejects", async () => {
  const { client } = fresh(server);
  const empty = await client.flush();
  assert.deepEqual([empty.complete, empty.delivered], [true, 0]);
  for (let at = 0; at < 50; at += 1) {
    client.startObservation(`o${at}`).end();
  }
  const [one, two] = await Promise.all([client.flush(), client.flush()]);
  assert.ok(one.complete && two.complete);
  assert.equal((await server.counts(client.publicKey)).observations, 50);
  const dead = new t.Client({ publicKey: freshKey(), secretKey: "sk-1", baseUrl: "http://127.0.0.1:9" });
  dead.startObservation("lost").end();
  const began = performance.now();
  const report = await dead.flush({ timeout: 300 });
  assert.ok(performance.now() - began < 700);
  assert.deepEqual([report.complete, report.pending + report.unconfirmed], [false, 1]);
  assert.equal((await dead.flush({ timeout: 0 })).pending, 1);
  const closed = await dead.shutdown({ timeout: 100 });
  assert.equal(closed.dropped + closed.pending, 1);
});

test("a key works again after shutdown and clean-up", async () => {
  const { client, key, sent } = fresh(server);
  client.startObservation("before").end();
  assert.equal((await client.shutdown()).complete, true);
  client.startObservation("between").end();
  await sent();
  const report = await t.cleanupClient(key, { timeout: 2000 });
  assert.equal(report.complete, true);
  client.startObservation("after").end();
  const found = await sent();
  assert.deepEqual(Object.keys(found).sort(), ["after", "before", "between"]);
});

test("await using", { skip: typeof Symbol.asyncDispose !== "symbol" }, async () => {
  const { client, key } = fresh(server);
  client.startObservation("disposed").end();
  await client[Symbol.asyncDispose]();
  assert.ok((await server.observations(key)).disposed);
});

test("what is dropped is told: by onDrop, by the logger, in stats", async () => {
  const strict = await collector("--fault", "401");
  const key = freshKey();
  const client = new t.Client({ publicKey: key, secretKey: "sk-1", baseUrl: strict.url });
  const drops = [];
  const remove = t.onDrop((drop) => drops.push(drop));
  const failing = t.onDrop(() => { throw new Error("mine"); });
  const told = await lines(async () => {
    client.startObservation("refused").end();
    await client.shutdown({ timeout: 1000 });
    t.stats();
  });
  remove();
  failing();
  assert.ok(drops.some((drop) => drop.publicKey === key && drop.lane === "observations" && drop.count === 1 && drop.reason), JSON.stringify(drops));
  assert.ok(told.some((line) => line.includes("401")), told.join("\n"));
  assert.ok(told.some((line) => line.includes("onDrop callback failed")), told.join("\n"));
});

test("the same trouble of many keys is one line", async () => {
  const ended = await run(
    `import { Client, stats } from "tracespool";
     for (let at = 0; at < 50; at += 1) {
       const client = new Client({ publicKey: "pk-" + at, secretKey: "sk-1", baseUrl: "http://127.0.0.1:9" });
       client.startObservation("x").end();
       await client.shutdown({ timeout: 0 });
     }
     stats();`,
    {},
  );
  const told = ended.err.split("\n").filter((line) => line.includes("dropped: evicted"));
  assert.equal(told.length, 2, ended.err);
  assert.match(told[1], /\(4\d times\)/);
});

test("observations that are given up are counted", async () => {
  const key = freshKey();
  const ended = await run(
    `import { startObservation, stats, getClient } from "tracespool";
     for (let at = 0; at < 640; at += 1) startObservation("never");
     const kept = startObservation("kept");
     for (let tries = 0; tries < 50; tries += 1) { globalThis.gc(); await new Promise((resolve) => setTimeout(resolve, 10)); }
     kept.end();
     await getClient().flush();
     console.log(JSON.stringify(stats()));`,
    { url: server.url, key, args: ["--expose-gc"] },
  );
  assert.equal(ended.code, 0, ended.err);
  const counted = Number(/"never_ended":(\d+)/.exec(ended.out)?.[1]);
  assert.ok(counted >= 512 && counted <= 640, ended.out);
  assert.ok((await server.observations(key)).kept);
});

test("handles are given back: 20,000 clients of one key cost nothing that stays", async () => {
  const ended = await run(
    `import { Client } from "tracespool";
     const make = (count) => { for (let at = 0; at < count; at += 1) new Client({ publicKey: "pk-1", secretKey: "sk-1", baseUrl: "http://127.0.0.1:9", mask: ({ data }) => data }).startObservation("x"); };
     const settle = async () => { for (let at = 0; at < 10; at += 1) { globalThis.gc(); await new Promise((resolve) => setTimeout(resolve, 5)); } };
     make(2000); await settle();
     const before = process.memoryUsage();
     make(20000); await settle();
     const after = process.memoryUsage();
     console.log((after.heapUsed - before.heapUsed) / 2 ** 20, (after.rss - before.rss) / 2 ** 20);`,
    { args: ["--expose-gc"] },
  );
  assert.equal(ended.code, 0, ended.err);
  const [heap, rss] = ended.out.split(" ").map(Number);
  assert.ok(heap < 4 && rss < 40, ended.out);
});

test("nothing is left to keep a process alive, and timers are not", async () => {
  assert.ok(home.timer === undefined || !home.timer.hasRef());
  const ended = await run(`import { startObservation } from "tracespool"; startObservation("x").end();`, { url: server.url, key: freshKey() });
  assert.ok(ended.seconds < 5, `${ended.seconds}`);
  await pause(1);
});
