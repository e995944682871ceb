/**
 * Bundles a Worker as wrangler does, beside a configuration of workerd, and prints what it weighs and where workerd is:
 *
 *     node bundle.mjs tracespool.mjs OUT
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import workerd from "workerd";

const [entry, out] = process.argv.slice(2);
if (!out) throw new Error("node bundle.mjs WORKER OUT");
const { outputFiles } = await build({
  absWorkingDir: dirname(fileURLToPath(import.meta.url)),
  entryPoints: [entry],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  conditions: ["workerd", "worker", "browser"],
  external: ["cloudflare:*", "node:*"],
  loader: { ".wasm": "copy" },
  assetNames: "[name]",
  outdir: "out",
  define: { "process.env.NODE_ENV": '"production"' },
  write: false,
  logLevel: "warning",
});
const files = outputFiles.map(({ path, contents }) => [path.endsWith(".wasm") ? basename(path) : "worker.js", contents]);
const modules = files
  .toSorted(([name], [other]) => other.endsWith(".js") - name.endsWith(".js"))
  .map(([name]) => `    (name = "${name}", ${name.endsWith(".wasm") ? "wasm" : "esModule"} = embed "${name}"),`);
mkdirSync(out, { recursive: true });
for (const [name, contents] of files) writeFileSync(join(out, name), contents);
writeFileSync(
  join(out, "config.capnp"),
  `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "main", worker = .worker), (name = "internet", network = (allow = ["public", "private"]))],
  sockets = [(name = "http", address = "127.0.0.1:8787", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [
${modules.join("\n")}
  ],
  compatibilityDate = "2026-01-01",
  compatibilityFlags = ["nodejs_compat"],
  bindings = [(name = "LANGFUSE_BASE_URL", fromEnvironment = "LANGFUSE_BASE_URL")],
);
`,
);
const gzip = Object.fromEntries(files.map(([name, contents]) => [name, gzipSync(contents, { level: 9 }).length]));
console.log(JSON.stringify({ workerd: workerd.default, gzip }));
