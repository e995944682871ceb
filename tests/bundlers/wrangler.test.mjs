// wrangler: what it would deploy, run in workerd.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { collector, freshKey } from "../../bindings-node/test/collector.mjs";
import { WORKER } from "./apps.mjs";
import { Project, settings, workerd } from "./project.mjs";
import { assertStored } from "./stored.mjs";

const EXAMPLE = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "examples", "worker");

let server;
before(async () => {
  server = await collector();
});

test("wrangler: a Worker", async () => {
  const project = new Project({
    "worker.js": WORKER,
    "wrangler.json": JSON.stringify({ name: "app", main: "worker.js", compatibility_date: "2026-01-01", compatibility_flags: ["nodejs_compat"] }),
  });
  await project.run("wrangler", ["deploy", "--dry-run", "--outdir=out"]);
  const key = freshKey();
  const miniflare = await workerd(project.path("out"), "worker.js", { bindings: settings(server, key) });
  for (let number = 0; number < 3; number += 1) {
    const answer = await miniflare.dispatchFetch("http://worker/");
    assert.match(await answer.text(), /^[0-9a-f]{32}$/);
  }
  await assertStored(server, key, 3);
});

test("wrangler: examples/worker", async () => {
  const files = Object.fromEntries(["src/index.js", "wrangler.jsonc"].map((name) => [name, readFileSync(join(EXAMPLE, name), "utf8")]));
  const project = new Project(files);
  await project.run("wrangler", ["deploy", "--dry-run", "--outdir=out"]);
  const key = freshKey();
  const miniflare = await workerd(project.path("out"), "index.js", { bindings: settings(server, key) });
  const { answer, trace } = await (await miniflare.dispatchFetch("http://worker/?q=why&user=someone")).json();
  assert.equal(answer, "You asked: why");
  assert.equal(await server.waitFor(key, 2), 2);
  const { ask, model } = await server.observations(key);
  assert.deepEqual([ask.trace_id, model.parent, model.type], [trace, ask.span_id, "generation"]);
});
