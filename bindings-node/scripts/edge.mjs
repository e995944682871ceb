// Builds dist/edge: the same API over WebAssembly. `core.wasm` comes from .ci/wasm-build; each entry initialises in the one
// way that its host allows.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const home = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(home, "dist", "edge");
/** For tracing alone, and with everything. */
const [core, full] = ["core.wasm", "full.wasm"].map((name) => join(home, "wasm", name));
if (!existsSync(core) || !existsSync(full)) {
  console.error("there is no wasm/core.wasm or wasm/full.wasm: run `make build-wasm` first");
  process.exit(1);
}

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });

/** Files of ts/ that have another of ts/edge in their place. */
const REPLACED = ["host", "native", "tickets", "exit"];

/** Every file stays one, so that bundlers drop what nobody uses: the package says that no file but the entries does anything by itself. */
const files = (folder) =>
  readdirSync(join(home, "ts", folder), { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts"))
    .map((entry) => join(folder, entry.name));
/** Subpaths that work without Node, and the folders that they are made of. */
const SUBPATHS = ["openai", "langchain", "tracing", "otel", "next"];
const FOLDERS = ["openai", "langchain", "tracing", "span", "web"];
/** By the condition of package.json, the entry that brings the module. */
const HOSTS = { workerd: "workerd", "edge-light": "edge-light", deno: "wasm", browser: "inline" };

const entries = ["index", ...SUBPATHS].map((name) => join("entries", `${name}.ts`));
const sources = [...files("."), ...entries, ...FOLDERS.flatMap(files), ...files("edge"), ...files(join("edge", "entries"))].filter(
  (file) => !REPLACED.some((name) => file === `${name}.ts`),
);
await build({
  absWorkingDir: home,
  format: "esm",
  platform: "neutral",
  target: "es2022",
  outdir: dist,
  outbase: "ts",
  entryPoints: sources.map((file) => join("ts", file)),
  minifySyntax: true,
  legalComments: "none",
  logLevel: "warning",
});
for (const name of REPLACED) {
  writeFileSync(join(dist, `${name}.js`), `export * from "./edge/${name}.js";\n`);
}
// Beside the entries, which are what asks for it.
copyFileSync(core, join(dist, "edge", "core.wasm"));
copyFileSync(full, join(dist, "edge", "full.wasm"));
writeFileSync(join(dist, "edge", "core.base64.js"), `export default "${readFileSync(full).toString("base64")}";\n`);
// A subpath brings the module too: it may be all that an application imports.
for (const [host, entry] of Object.entries(HOSTS)) {
  mkdirSync(join(dist, host));
  for (const name of SUBPATHS) {
    // Spans of other instrumentation need the whole module.
    const file = name === "otel" && entry !== "wasm" && entry !== "inline" ? `${entry}-full` : entry;
    const source = `import "../edge/entries/${file}.js";\nexport * from "../entries/${name}.js";\n`;
    writeFileSync(join(dist, host, `${name}.js`), source);
  }
}
