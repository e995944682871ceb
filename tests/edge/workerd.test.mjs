// Workers in workerd against a real collector.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { collector, freshKey } from "../../bindings-node/test/collector.mjs";
import { worker } from "./host.mjs";
import { assertNested, scenarios, settings } from "./scenarios.mjs";

let server;
const running = [];

before(async () => {
  server = await collector();
});
after(async () => {
  await Promise.all(running.map((miniflare) => miniflare.dispose()));
});

async function start(entry, options = {}) {
  const key = freshKey();
  const miniflare = await worker(entry, { ...options, bindings: settings(key, server.url) });
  running.push(miniflare);
  const get = (path) => miniflare.dispatchFetch(`http://worker${path}`);
  return { key, get, miniflare };
}

async function application(bindings) {
  const miniflare = await worker("requests.js", { bindings });
  return { get: (path) => miniflare.dispatchFetch(`http://worker${path}`), stop: () => miniflare.dispose() };
}

scenarios("miniflare", application, { posts: 1 });

test("without AsyncLocalStorage a parent is named by hand", async () => {
  const { key, get } = await start("requests.js", { flags: [], date: "2026-01-01" });
  await get("/explicit");
  assert.equal(await server.waitFor(key, 3), 3);
  assertNested(await server.list(key));
});

test("scheduled and queue handlers of an object", async () => {
  const { key, miniflare } = await start("requests.js");
  const fetcher = await miniflare.getWorker();
  await fetcher.scheduled({ cron: "* * * * *" });
  await fetcher.queue("q", [{ id: "1", timestamp: new Date(), body: "hello", attempts: 1 }]);
  assert.equal(await server.waitFor(key, 2), 2);
});

test("a queue, a cron trigger, an alarm, a socket, a call", async () => {
  const { key, get, miniflare } = await start("events.js", {
    objects: { THING: "Thing" },
    queueProducers: { QUEUE: "q" },
    queueConsumers: { q: { maxBatchSize: 3, maxBatchTimeout: 1 } },
  });
  await (await get("/queue")).text();
  await (await miniflare.getWorker()).scheduled({ cron: "1 2 3 4 5" });
  await (await get("/alarm")).text();
  assert.equal(await (await get("/call")).json(), 5);
  const { webSocket } = await miniflare.dispatchFetch("http://worker/socket", { headers: { upgrade: "websocket" } });
  const echoed = new Promise((resolve) => webSocket.addEventListener("message", ({ data }) => resolve(data)));
  webSocket.accept();
  webSocket.send("hello");
  assert.equal(await echoed, "hello!");
  assert.equal(await server.waitFor(key, 9), 9);
  const rows = await server.list(key);
  const named = (name) => rows.filter((row) => row.name === name);
  assert.deepEqual(named("queued").map((row) => row.parent), Array(3).fill(named("batch")[0].span_id));
  assert.equal(named("of the alarm")[0].parent, named("alarm")[0].span_id);
  for (const name of ["cron", "message", "call"]) {
    assert.equal(named(name).length, 1, name);
  }
  webSocket.close();
});

test("without withTracing the request's own waitUntil is found", async () => {
  const { key, get } = await start("plain.js");
  await get("/");
  assert.equal(await server.waitFor(key, 3), 3);
  assert.equal((await server.counts(key)).requests, 1);
});

test("a Durable Object", async () => {
  const { key, get } = await start("object.js", { objects: { COUNTER: "Counter" } });
  assert.equal(await (await get("/")).text(), "counted");
  assert.equal(await server.waitFor(key, 1), 1);
});

test("a client that is made with the script: every isolate has ids of its own", async () => {
  const [one, other] = await Promise.all([start("early.js"), start("early.js")]);
  for (const { get } of [one, other]) {
    await (await get("/")).text();
  }
  const ids = [];
  for (const { key } of [one, other]) {
    assert.equal(await server.waitFor(key, 1), 1);
    for (let tries = 0; tries < 100 && (await server.scores(key)).length < 2; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const scores = await server.scores(key);
    assert.equal(scores.length, 2);
    ids.push(...scores.map((score) => score.id), ...(await server.list(key)).flatMap((row) => [row.trace_id, row.span_id]));
  }
  assert.equal(new Set(ids).size, ids.length, JSON.stringify(ids));
});
