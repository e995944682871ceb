// Workers in workerd against a real collector.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { collector, freshKey } from "../../bindings-node/test/collector.mjs";
import { silent, worker } from "./host.mjs";

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
  const url = options.url ?? server.url;
  const bindings = { LANGFUSE_PUBLIC_KEY: key, LANGFUSE_SECRET_KEY: "sk-very-secret", LANGFUSE_BASE_URL: url };
  const miniflare = await worker(entry, { ...options, bindings });
  running.push(miniflare);
  const get = (path) => miniflare.dispatchFetch(`http://worker${path}`);
  return { key, get, miniflare };
}

function assertNested(rows) {
  const byName = Object.fromEntries(rows.map((row) => [row.name, row]));
  assert.deepEqual(Object.keys(byName).sort(), ["answer", "leaf", "root"]);
  assert.equal(new Set(rows.map((row) => row.trace_id)).size, 1);
  assert.equal(byName.answer.parent, byName.root.span_id);
  assert.equal(byName.leaf.parent, byName.answer.span_id);
  assert.ok(!byName.root.parent);
  assert.equal(byName.answer.type, "generation");
}

test("a request's observations are nested and stored, in one POST", async () => {
  const { key, get } = await start("requests.js");
  const answer = await get("/nested");
  assert.equal(answer.status, 200);
  assert.match(await answer.text(), /^[0-9a-f]{32}$/);
  assert.equal(await server.waitFor(key, 3), 3);
  assertNested(await server.list(key));
  assert.equal((await server.counts(key)).requests, 1);
});

test("without AsyncLocalStorage a parent is named by hand", async () => {
  const { key, get } = await start("requests.js", { flags: [], date: "2026-01-01" });
  await get("/explicit");
  assert.equal(await server.waitFor(key, 3), 3);
  assertNested(await server.list(key));
});

test("200 observations in one request", async () => {
  const { key, get } = await start("requests.js");
  await get("/many?count=200");
  assert.equal(await server.waitFor(key, 200), 200);
  assert.equal((await server.counts(key)).requests, 1);
});

test("100 requests at once", async () => {
  const { key, get } = await start("requests.js");
  const answers = await Promise.all(Array.from({ length: 100 }, () => get("/nested")));
  const traces = await Promise.all(answers.map((answer) => answer.text()));
  assert.equal(new Set(traces).size, 100);
  assert.equal(await server.waitFor(key, 300), 300);
  const rows = await server.list(key);
  for (const trace of traces) {
    assertNested(rows.filter((row) => row.trace_id === trace));
  }
});

test("1,000 keys through one isolate", async () => {
  const { get } = await start("requests.js");
  const keys = Array.from({ length: 1000 }, freshKey);
  for (let at = 0; at < keys.length; at += 50) {
    await Promise.all(keys.slice(at, at + 50).map((key) => get(`/tenant?key=${key}`)));
  }
  const report = await (await get("/flush")).json();
  assert.equal(report.dropped + report.pending, 0);
  const counts = await Promise.all(keys.map((key) => server.waitFor(key, 1)));
  assert.equal(counts.filter((count) => count === 1).length, 1000);
});

test("a server that answers 503 twice gets everything in the end", async () => {
  const own = await collector();
  const { key, get } = await start("requests.js", { url: own.url });
  await own.faults({ fault: "503", path: "/api/public/otel", count: 2 });
  await get("/nested");
  assert.equal(await own.waitFor(key, 3), 3);
  assertNested(await own.list(key));
});

test("a server that never answers delays no response and is given up in time", async () => {
  const hanging = await silent();
  const { get } = await start("requests.js", { url: hanging.url });
  await get("/many?count=1");
  const times = [];
  for (let number = 0; number < 5; number += 1) {
    const began = performance.now();
    await get("/nested");
    times.push(performance.now() - began);
  }
  assert.ok(Math.max(...times) < 1000, `responses took ${times.map(Math.round)} ms`);
  const began = performance.now();
  const report = await (await get("/flush?timeout=700")).json();
  const took = performance.now() - began;
  assert.equal(report.complete, false);
  assert.ok(report.pending + report.unconfirmed > 0);
  assert.ok(took < 1500, `the flush took ${took} ms`);
  hanging.close();
});

test("what a handler throws is thrown on, and what it traced is stored", async () => {
  const { key, get } = await start("requests.js");
  const answer = await get("/throw");
  assert.equal(answer.status, 500);
  assert.match(await answer.text(), /the application's own/);
  assert.equal(await server.waitFor(key, 1), 1);
});

test("scheduled and queue handlers", async () => {
  const { key, miniflare } = await start("requests.js");
  const fetcher = await miniflare.getWorker();
  await fetcher.scheduled({ cron: "* * * * *" });
  await fetcher.queue("q", [{ id: "1", timestamp: new Date(), body: "hello", attempts: 1 }]);
  assert.equal(await server.waitFor(key, 2), 2);
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
