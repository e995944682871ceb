// Builds dist/edge: the same API over WebAssembly. `core.wasm` and its glue come from .ci/wasm-build; each entry initialises in the one
// way that its host allows.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const home = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(home, "dist", "edge");
const module = join(home, "wasm", "core.wasm");
if (!existsSync(module)) {
  console.error("there is no wasm/core.wasm: run `make build-wasm` first");
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
const sources = [...files("."), join("entries", "index.ts"), ...files("edge"), ...files(join("edge", "entries"))].filter(
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
copyFileSync(module, join(dist, "edge", "core.wasm"));
copyFileSync(join(home, "wasm", "tracespool_wasm.js"), join(dist, "edge", "glue.js"));
writeFileSync(join(dist, "edge", "core.base64.js"), `export default "${readFileSync(module).toString("base64")}";\n`);
