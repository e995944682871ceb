// Vercel's edge runtime, Deno and Bun, as they are published on npm, against a real collector.
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { collector, freshKey } from "../../../bindings-node/test/collector.mjs";
import { PACKAGE, serve } from "../host.mjs";
import { scenarios, settings } from "../scenarios.mjs";

const home = dirname(fileURLToPath(import.meta.url));
const DENO = ["run", "--quiet", "--allow-net", "--allow-env", "--allow-read", "--node-modules-dir=manual"];
let server;
before(async () => {
  server = await collector();
});

const bin = (name) => join(home, "node_modules", ".bin", name);
const program = (name) => join(home, "..", "workers", name);

/** Vercel's edge runtime with a function, bundled as Next does it. */
async function light(entry, env, { storage = true, extend = {} } = {}) {
  const { EdgeRuntime } = await import("edge-runtime");
  const made = await build({
    entryPoints: [program(entry)],
    nodePaths: [join(home, "node_modules")],
    bundle: true,
    format: "iife",
    conditions: ["edge-light", "worker", "browser"],
    write: false,
    plugins: [
      {
        // What Next's bundler does: the module comes compiled.
        name: "module",
        setup(builder) {
          builder.onResolve({ filter: /\.wasm\?module$/ }, (found) => ({ path: found.path, namespace: "module" }));
          builder.onLoad({ filter: /.*/, namespace: "module" }, () => ({ contents: "export default globalThis.coreModule" }));
        },
      },
    ],
  });
  const runtime = new EdgeRuntime({
    initialCode: made.outputFiles[0].text,
    extend: (context) => {
      context.coreModule = new WebAssembly.Module(readFileSync(join(PACKAGE, "wasm", "core.wasm")));
      context.process = { env };
      // Vercel and Next provide it as a global; the bare runtime does not.
      return Object.assign(context, storage ? { AsyncLocalStorage } : {}, extend);
    },
  });
  return {
    async get(path) {
      const answer = await runtime.dispatchFetch(`https://function${path}`);
      answer.waitUntil().catch(() => undefined);
      return answer;
    },
    stop: () => undefined,
  };
}

scenarios("Vercel's edge runtime", (env) => light("light.js", env), { posts: 1 });
scenarios("Vercel's edge runtime without AsyncLocalStorage", (env) => light("light.js", env, { storage: false }), { nested: "/explicit", posts: 1 });
scenarios("Deno", (env) => serve(bin("deno"), [...DENO, program("serve-deno.mjs")], env));
scenarios("Bun", (env) => serve(bin("bun"), ["--conditions=deno", "run", program("serve-bun.mjs")], env));

for (const [path, who] of [["/found", "withTracing finds"], ["/plain", "a trace's end finds"], ["/passed", "@vercel/functions knows"]]) {
  test(`Vercel: the request's context, which ${who}`, async () => {
    const key = freshKey();
    const waiting = [];
    const extend = { [Symbol.for("@vercel/request-context")]: { get: () => ({ waitUntil: (promise) => waiting.push(promise) }) } };
    const { get } = await light("context.js", settings(key, server.url), { extend });
    assert.equal((await get(path)).status, 200);
    assert.equal(waiting.length, 1);
    await Promise.all(waiting);
    assert.deepEqual((await server.list(key)).map((row) => row.name), [path.slice(1)]);
    assert.equal((await server.counts(key)).requests, 1);
  });
}

/** A server that answers three requests and ends; what it traced last is sent on its way out. */
const SERVER = `
import { startActiveObservation, startObservation, withTracing } from "tracespool";
const handler = withTracing((request) =>
  startActiveObservation("root", async (root) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    startObservation("leaf").end();
    return new Response(root.traceId);
  }));
`;

async function ends(command, args, source, env) {
  const folder = mkdtempSync(join(home, ".program-"));
  try {
    const path = join(folder, "program.mjs");
    writeFileSync(path, source);
    const child = spawn(bin(command), [...args, path], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => (out += chunk));
    }
    const killer = setTimeout(() => child.kill("SIGKILL"), 30_000);
    const code = await new Promise((resolve) => child.once("close", resolve));
    clearTimeout(killer);
    assert.equal(code, 0, out);
    return out;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function stored(key) {
  assert.equal(await server.waitFor(key, 6), 6);
  const rows = await server.list(key);
  const roots = new Map(rows.filter((row) => row.name === "root").map((row) => [row.trace_id, row]));
  assert.equal(roots.size, 3);
  for (const row of rows.filter((each) => each.name === "leaf")) {
    assert.equal(row.parent, roots.get(row.trace_id).span_id);
  }
}

test("Deno: what was traced last is sent on the way out", async () => {
  const key = freshKey();
  const source = `${SERVER}
    const server = Deno.serve({ port: 0, onListen() {} }, handler);
    await Promise.all([1, 2, 3].map(async () => (await fetch("http://127.0.0.1:" + server.addr.port)).text()));
    await server.shutdown();
    console.log("ended");`;
  const out = await ends("deno", DENO, source, settings(key, server.url));
  assert.match(out, /^ended/);
  await stored(key);
});

test("Bun: what was traced last is sent on the way out", async () => {
  const key = freshKey();
  const source = `${SERVER.replace('"tracespool"', '"tracespool/wasm"')}
    const server = Bun.serve(withTracing({ port: 0, fetch: handler }));
    await Promise.all([1, 2, 3].map(async () => (await fetch("http://127.0.0.1:" + server.port)).text()));
    await server.stop();
    console.log("ended");`;
  const out = await ends("bun", ["run"], source, settings(key, server.url));
  assert.match(out, /^ended/);
  await stored(key);
});
