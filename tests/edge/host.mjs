// Bundles workers as applications do, and runs them in workerd.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { Miniflare } from "miniflare";

const home = dirname(fileURLToPath(import.meta.url));
export const PACKAGE = join(home, "..", "..", "bindings-node");

/** Everything as wrangler does it: its conditions, the module left beside the script. */
export async function bundle(entry, { conditions = ["workerd", "worker", "browser"], external = [] } = {}) {
  const made = await build({
    entryPoints: [join(home, "workers", entry)],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    conditions,
    external: ["cloudflare:*", "node:*", ...external],
    loader: { ".wasm": "copy" },
    assetNames: "[name]",
    outdir: "out",
    write: false,
    logLevel: "silent",
  });
  const files = Object.fromEntries(made.outputFiles.map((file) => [file.path.replace(/.*\//, ""), file.contents]));
  const script = Object.keys(files).find((name) => name.endsWith(".js"));
  const modules = Object.entries(files).filter(([name]) => name.endsWith(".wasm"));
  return { script: new TextDecoder().decode(files[script]), modules };
}

/** Compressed, as what is uploaded is measured. */
export function sizes({ script, modules }) {
  const compressed = (content) => gzipSync(content, { level: 9 }).length;
  return { script: compressed(script), module: modules.reduce((sum, [, content]) => sum + compressed(content), 0) };
}

export async function worker(entry, { bindings, flags = ["nodejs_compat"], date = "2026-01-01", objects } = {}) {
  const { script, modules } = await bundle(entry);
  const miniflare = new Miniflare({
    compatibilityDate: date,
    compatibilityFlags: flags,
    modules: [
      { type: "ESModule", path: "worker.js", contents: script },
      ...modules.map(([path, contents]) => ({ type: "CompiledWasm", path, contents })),
    ],
    bindings,
    ...(objects ? { durableObjects: objects } : {}),
  });
  await miniflare.ready;
  return miniflare;
}

/** A server that takes requests and never answers. */
export async function silent() {
  let requests = 0;
  const server = createServer((request) => {
    requests += 1;
    request.resume();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  return { url: `http://127.0.0.1:${server.address().port}`, requests: () => requests, close: () => server.closeAllConnections() };
}

export const read = (path) => readFileSync(join(home, path));
