// `tracespool/openai`, `/langchain`, `/tracing`, `/otel` and `/slim` in workerd, beside the real packages, against a fake model server.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { collector, freshKey } from "../../bindings-node/test/collector.mjs";
import { ANSWER, openaiServer } from "../../bindings-node/test/integrations/openai_server.mjs";
import { PACKAGE } from "./host.mjs";
import { settings } from "./scenarios.mjs";
import { workerd } from "./workerd.mjs";

let server;
let models;
before(async () => {
  server = await collector();
  models = await openaiServer();
});
after(() => models.close());

async function run(context, entry) {
  const key = freshKey();
  const application = await workerd(entry, { bindings: { ...settings(key, server.url), MODEL_URL: models.url } });
  context.after(() => application.stop());
  return { key, get: application.get };
}

async function rows(key, count) {
  assert.equal(await server.waitFor(key, count), count);
  return server.list(key);
}

test("tracespool/openai in workerd: whole and streamed answers", async (context) => {
  const { key, get } = await run(context, "subpaths.js");
  assert.deepEqual(await (await get("/openai")).json(), [ANSWER, ANSWER]);
  const found = await rows(key, 3);
  const root = found.find((row) => row.name === "root");
  const calls = found.filter((row) => row !== root);
  const content = ({ output }) => (output.startsWith("{") ? JSON.parse(output).content : output);
  assert.deepEqual(calls.map((row) => [row.type, row.parent, content(row)]), Array(2).fill(["generation", root.span_id, ANSWER]));
  assert.deepEqual(calls.map((row) => row.model).sort(), ["streamed", "whole"].map((name) => `${name}-2026-01-01`));
});

test("tracespool/langchain in workerd", async (context) => {
  const { key, get } = await run(context, "subpaths.js");
  assert.deepEqual(await (await get("/langchain")).json(), [ANSWER]);
  const [row, ...others] = await rows(key, 1);
  assert.equal(others.length, 0);
  assert.equal(row.type, "generation");
  assert.match(row.model, /^chained/);
  assert.match(row.output, new RegExp(ANSWER));
});

test("tracespool/tracing in workerd", async (context) => {
  const { key, get } = await run(context, "subpaths.js");
  const [trace] = await (await get("/tracing")).json();
  const found = await rows(key, 2);
  const [root, child] = ["root", "child"].map((name) => found.find((row) => row.name === name));
  assert.deepEqual([root.trace_id, child.trace_id, child.parent, child.output], [trace, trace, root.span_id, "o"]);
});

test("tracespool/otel in workerd: spans of another tracer", async (context) => {
  const { key, get } = await run(context, "subpaths.js");
  const [trace] = await (await get("/otel")).json();
  const [row] = await rows(key, 1);
  assert.deepEqual([row.name, row.trace_id, row.model], ["theirs", trace, "m"]);
});

test("tracespool/slim in workerd", async (context) => {
  const { key, get } = await run(context, "slim.js");
  assert.equal(await (await get("/")).text(), "ok");
  assert.equal((await rows(key, 1))[0].name, "slim");
});

test("tracespool/slim takes bytes where the host compiles them", async () => {
  const key = freshKey();
  const program = `
    import { readFileSync } from "node:fs";
    import { fileURLToPath } from "node:url";
    import { flushAll, setModule, startObservation } from "tracespool/slim";
    setModule(readFileSync(fileURLToPath(import.meta.resolve("tracespool/core.wasm"))), { timers: true });
    startObservation("slim").end();
    const { delivered } = await flushAll();
    if (delivered !== 1) throw new Error("delivered " + delivered);`;
  const made = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    cwd: PACKAGE,
    encoding: "utf8",
    timeout: 30_000,
    env: { ...process.env, ...settings(key, server.url) },
  });
  assert.equal(made.status, 0, made.stderr);
  assert.equal(made.stderr, "");
  assert.equal((await rows(key, 1))[0].name, "slim");
});

test("tracespool/slim without a module is a no-op, and one line says what is missing", () => {
  const program = `
    import { flushAll, startObservation } from "tracespool/slim";
    for (let at = 0; at < 10; at += 1) startObservation("o").end();
    console.log((await flushAll()).delivered);`;
  const made = spawnSync(process.execPath, ["--input-type=module", "-e", program], { cwd: PACKAGE, encoding: "utf8", timeout: 30_000 });
  assert.equal(made.status, 0, made.stderr);
  assert.equal(made.stdout.trim(), "0");
  assert.match(made.stderr, /call setModule\(\) of tracespool\/slim first/);
  assert.equal(made.stderr.trim().split("\n").length, 1, made.stderr);
});
