// Bundles workers as applications do, and runs them in workerd.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { pause } from "../../bindings-node/test/collector.mjs";

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

export async function worker(entry, { bindings, flags = ["nodejs_compat"], date = "2026-01-01", objects, ...others } = {}) {
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
    ...others,
  });
  await miniflare.ready;
  return miniflare;
}

/** A server that takes requests and never answers. */
export async function silent() {
  const began = [];
  const ended = [];
  const server = createServer((request) => {
    const at = began.push(performance.now()) - 1;
    request.resume();
    request.socket.once("close", () => (ended[at] = performance.now()));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests: () => began.length,
    /** Milliseconds that the first request was held open, 5,000 at most. */
    async longest() {
      for (let tries = 0; tries < 100 && ended[0] === undefined && performance.now() - began[0] < 5000; tries += 1) {
        await pause(50);
      }
      return (ended[0] ?? performance.now()) - began[0];
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A program that serves the application and says its port in its first line. */
export async function serve(command, args, env) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  const port = await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${command} said no port: ${said}`)), 20_000);
    const ended = (code) => reject(new Error(`${command} ended with ${code}: ${said}`));
    child.once("close", ended);
    child.stderr.on("data", (chunk) => (said += chunk));
    child.stdout.on("data", (chunk) => {
      said += chunk;
      const found = /^(\d+)\n/m.exec(said);
      if (found) {
        clearTimeout(late);
        child.off("close", ended);
        resolve(Number(found[1]));
      }
    });
  }).catch((error) => {
    child.kill("SIGKILL");
    throw error;
  });
  return {
    child,
    get: (path) => fetch(`http://127.0.0.1:${port}${path}`),
    async stop() {
      const gone = new Promise((resolve) => child.once("close", resolve));
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGKILL");
        await gone;
      }
    },
  };
}

export const read = (path) => readFileSync(join(home, path));
