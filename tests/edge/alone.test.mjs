// workerd without miniflare: nothing stands between it and its configuration.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { collector, freshKey, pause } from "../../bindings-node/test/collector.mjs";
import { scenarios, settings } from "./scenarios.mjs";
import { workerd } from "./workerd.mjs";

let server;
before(async () => {
  server = await collector();
});

scenarios("workerd", (bindings) => workerd("requests.js", { bindings }), { posts: 1 });

async function run(context, entry, options) {
  const key = freshKey();
  const application = await workerd(entry, { ...options, bindings: settings(key, server.url) });
  context.after(() => application.stop());
  return { key, get: application.get };
}

test("workerd: without withTracing the request's own waitUntil is found", async (context) => {
  const { key, get } = await run(context, "plain.js");
  await (await get("/")).text();
  assert.equal(await server.waitFor(key, 3), 3);
  assert.equal((await server.counts(key)).requests, 1);
});

test("workerd: a Durable Object", async (context) => {
  const { key, get } = await run(context, "object.js", { objects: { COUNTER: "Counter" } });
  assert.equal(await (await get("/")).text(), "counted");
  assert.equal(await server.waitFor(key, 1), 1);
});

test("workerd: clients of a request each are given back", async (context) => {
  const { key, get } = await run(context, "handles.js", { v8: ["--expose-gc"] });
  for (let number = 0; number < 500; number += 1) {
    await (await get("/")).text();
  }
  assert.equal(await server.waitFor(key, 500), 500);
  let state;
  for (let tries = 0; tries < 50; tries += 1) {
    state = await (await get("/state")).json();
    if (state.released >= 450) {
      break;
    }
    await pause(100);
    // Whoever makes the next client gives back what nobody holds.
    await (await get("/")).text();
  }
  assert.ok(state.released >= 450, JSON.stringify(state));
});
