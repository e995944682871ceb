// What every host has to show, written once: `tests/edge/workers/application.js` runs there, a real collector is the server.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { collector, freshKey } from "../../bindings-node/test/collector.mjs";
import { silent } from "./host.mjs";

export const SECRET = "sk-very-secret";

/** What an application finds in its environment. */
export function settings(key, url) {
  return { LANGFUSE_PUBLIC_KEY: key, LANGFUSE_SECRET_KEY: SECRET, LANGFUSE_BASE_URL: url };
}

export function assertNested(rows) {
  const byName = Object.fromEntries(rows.map((row) => [row.name, row]));
  assert.deepEqual(Object.keys(byName).sort(), ["answer", "leaf", "root"]);
  assert.equal(new Set(rows.map((row) => row.trace_id)).size, 1);
  assert.equal(byName.answer.parent, byName.root.span_id);
  assert.equal(byName.leaf.parent, byName.answer.span_id);
  assert.ok(!byName.root.parent);
  assert.equal(byName.answer.type, "generation");
}

/**
 * Registers the scenarios for a host.
 *
 * @param host Its name, in front of the tests'.
 * @param start Runs the application with `env`; answers `get(path)` and `stop()`.
 * @param options.nested The path that nests: without AsyncLocalStorage a parent is named by hand.
 * @param options.posts How many requests a handler's end sends; `undefined` where a host's timers last, and what is pending goes when it is due.
 */
export function scenarios(host, start, { nested = "/nested", posts } = {}) {
  let server;
  before(async () => {
    server = await collector();
  });

  async function run(context, { url = server.url, env = {} } = {}) {
    const key = freshKey();
    const application = await start({ ...settings(key, url), ...env });
    context.after(() => application.stop());
    return { key, get: application.get };
  }

  async function assertPosts(key) {
    if (posts !== undefined) {
      assert.equal((await server.counts(key)).requests, posts);
    }
  }

  test(`${host}: a request's observations are nested and stored`, async (context) => {
    const { key, get } = await run(context);
    const answer = await get(nested);
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), /^[0-9a-f]{32}$/);
    assert.equal(await server.waitFor(key, 3), 3);
    assertNested(await server.list(key));
    await assertPosts(key);
    assert.equal((await (await get("/stats")).json()).kind, "wasm");
  });

  test(`${host}: 200 observations in one request`, async (context) => {
    const { key, get } = await run(context);
    await (await get("/many?count=200")).text();
    assert.equal(await server.waitFor(key, 200), 200);
    await assertPosts(key);
  });

  test(`${host}: 100 requests at once`, async (context) => {
    const { key, get } = await run(context);
    const answers = await Promise.all(Array.from({ length: 100 }, () => get(nested)));
    const traces = await Promise.all(answers.map((answer) => answer.text()));
    assert.equal(new Set(traces).size, 100);
    assert.equal(await server.waitFor(key, 300), 300);
    const rows = await server.list(key);
    for (const trace of traces) {
      assertNested(rows.filter((row) => row.trace_id === trace));
    }
  });

  test(`${host}: 1,000 keys`, async (context) => {
    const { get } = await run(context);
    const keys = Array.from({ length: 1000 }, freshKey);
    for (let at = 0; at < keys.length; at += 50) {
      const answers = await Promise.all(keys.slice(at, at + 50).map((key) => get(`/tenant?key=${key}`)));
      await Promise.all(answers.map((answer) => answer.text()));
    }
    const report = await (await get("/flush?timeout=30000")).json();
    assert.equal(report.dropped + report.pending, 0, JSON.stringify(report).slice(0, 300));
    const counts = await Promise.all(keys.map((key) => server.waitFor(key, 1)));
    assert.equal(counts.filter((count) => count === 1).length, 1000);
  });

  test(`${host}: a server that answers 503 twice gets everything in the end`, async (context) => {
    const own = await collector();
    const { key, get } = await run(context, { url: own.url });
    await own.faults({ fault: "503", path: "/api/public/otel", count: 2 });
    await (await get(nested)).text();
    assert.equal(await own.waitFor(key, 3), 3);
    assertNested(await own.list(key));
    // The server has stored it before the Worker has read its answer.
    const until = performance.now() + 10_000;
    let said;
    do {
      said = await (await get("/stats")).json();
    } while (said.observations.pending > 0 && performance.now() < until);
    assert.deepEqual([said.retries, said.observations.delivered], [2, 3]);
  });

  test(`${host}: a server that never answers delays no response and is given up in time`, async (context) => {
    const hanging = await silent();
    context.after(() => hanging.close());
    const { get } = await run(context, { url: hanging.url, env: { LANGFUSE_TIMEOUT: "0.5" } });
    await (await get("/many?count=1")).text();
    const times = [];
    for (let number = 0; number < 5; number += 1) {
      const began = performance.now();
      await (await get(nested)).text();
      times.push(performance.now() - began);
    }
    assert.ok(Math.max(...times) < 1000, `responses took ${times.map(Math.round)} ms`);
    const began = performance.now();
    const report = await (await get("/flush?timeout=700")).json();
    const took = performance.now() - began;
    assert.equal(report.complete, false);
    assert.ok(report.pending + report.unconfirmed > 0);
    assert.ok(took < 1500, `the flush took ${took} ms`);
    // What a handler traced keeps the host working until the deadline, and no longer.
    const { answered, sent } = await (await get("/sending?timeout=600")).json();
    assert.ok(answered < 300 && sent < 1400, `answered after ${answered} ms, and the host was kept working for ${sent} ms`);
    // Each attempt is given up, too: its connection is not kept.
    const held = await hanging.longest();
    assert.ok(hanging.requests() > 0 && held < 2500, `an attempt was held for ${held} ms`);
  });

  test(`${host}: what a handler throws is thrown on, and what it traced is stored`, async (context) => {
    const { key, get } = await run(context);
    const answer = await get("/throw");
    assert.equal(answer.status, 500);
    await answer.text();
    assert.equal(await server.waitFor(key, 1), 1);
  });
}
