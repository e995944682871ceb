// The same observations give the same bytes as in Rust (core/tests/conformance.rs), through the native module and through WebAssembly.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { collector, freshKey } from "../../bindings-node/test/collector.mjs";
import { PACKAGE } from "./host.mjs";

const path = join(dirname(fileURLToPath(import.meta.url)), "..", "conformance", "otlp", "vectors.json");
const { resource, vectors } = JSON.parse(readFileSync(path, "utf8"));
const valuesPath = join(dirname(path), "values.json");
const { values } = JSON.parse(readFileSync(valuesPath, "utf8"));

/** What a backend sends of the vectors, by public key. */
async function sent(kind) {
  const bodies = {};
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) {
      chunks.push(chunk);
    }
    const [key] = Buffer.from(request.headers.authorization.replace("Basic ", ""), "base64").toString().split(":");
    bodies[key] = Buffer.concat(chunks).toString("hex");
    response.end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const program = `
    ${kind === "wasm" ? 'import "tracespool";' : ""}
    import { arrival, backend } from "tracespool/internal";
    import { readFileSync } from "node:fs";
    const { vectors } = JSON.parse(readFileSync(${JSON.stringify(path)}, "utf8"));
    const core = backend();
    for (const [number, { options, records }] of vectors.entries()) {
      const handle = core.open(JSON.stringify({ ...options, public_key: "pk-" + number, secret_key: "sk", gzip: false }));
      for (const { start, end, record } of records) core.end(handle, start, end, record);
      const report = JSON.parse(await arrival(core, core.flush(handle, 5000, false), 5000));
      if (!report.complete) throw new Error(JSON.stringify(report));
    }
    console.log(core.kind);`;
  const args = [...(kind === "wasm" ? ["--conditions=deno"] : []), "--input-type=module", "-e", program];
  const url = `http://127.0.0.1:${server.address().port}`;
  const child = spawn(process.execPath, args, {
    cwd: PACKAGE,
    env: { ...process.env, LANGFUSE_BASE_URL: url, OTEL_RESOURCE_ATTRIBUTES: resource },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  child.stdout.on("data", (chunk) => (out += chunk));
  const code = await new Promise((resolve) => child.once("close", resolve));
  server.close();
  assert.equal(code, 0);
  assert.equal(out.trim(), kind);
  return bodies;
}

for (const kind of ["native", "wasm"]) {
  test(`${kind}: the bytes are those of the vectors`, async () => {
    const bodies = await sent(kind);
    assert.ok(vectors.length >= 5);
    for (const [number, { name, otlp }] of vectors.entries()) {
      assert.ok(otlp.length > 200);
      assert.equal(bodies[`pk-${number}`], otlp, name);
    }
  });
}

/** A stored field; a text is stored as it is, and so is each top-level value of metadata that is no scalar. */
function parsed(text) {
  if (typeof text !== "string") {
    return text;
  }
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

for (const kind of ["native", "wasm"]) {
  test(`${kind}: values are stored as they were passed`, async () => {
    const server = await collector();
    const key = freshKey();
    const program = `
      import { flushAll, startObservation } from "tracespool";
      import { readFileSync } from "node:fs";
      for (const { name, value } of JSON.parse(readFileSync(${JSON.stringify(valuesPath)}, "utf8")).values) {
        startObservation(name, { input: value, output: { value }, metadata: { value } }).end();
      }
      const report = await flushAll({ timeout: 5000 });
      if (!report.complete) throw new Error(JSON.stringify(report));`;
    const args = [...(kind === "wasm" ? ["--conditions=deno"] : []), "--input-type=module", "-e", program];
    const settings = { LANGFUSE_PUBLIC_KEY: key, LANGFUSE_SECRET_KEY: "sk", LANGFUSE_BASE_URL: server.url };
    const ended = spawnSync(process.execPath, args, { cwd: PACKAGE, encoding: "utf8", timeout: 30_000, env: { ...process.env, ...settings } });
    assert.deepEqual([ended.status, ended.stderr], [0, ""]);
    assert.equal(await server.waitFor(key, values.length), values.length);
    const rows = await server.observations(key);
    for (const { name, value } of values) {
      const { input, output, metadata } = rows[name];
      assert.deepEqual([parsed(input), parsed(output), parsed(parsed(metadata).value)], [value, { value }, value], name);
    }
  });
}
