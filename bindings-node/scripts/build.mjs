// Builds dist/: types by the compiler, code by esbuild. `internal` is one file that holds everything; every other entry is thin and
// takes what it needs from it, so that all entries of a format share one copy.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const home = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(home, "dist");
// Thin entries beside `internal`: one for each file in ts/entries.
const entries = readdirSync(join(home, "ts", "entries")).map((file) => file.replace(/\.ts$/, ""));

rmSync(dist, { recursive: true, force: true });
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
execFileSync(process.execPath, [tsc, "-p", join(home, "tsconfig.json")], { stdio: "inherit" });

/** Keeps imports of `internal` from other entries as imports. */
const shared = {
  name: "shared",
  setup(builder) {
    builder.onResolve({ filter: /\/internal\.js$/ }, (found) =>
      found.kind === "entry-point" ? undefined : { path: "./internal.js", external: true },
    );
  },
};

const common = {
  absWorkingDir: home,
  bundle: true,
  platform: "node",
  target: "node20",
  packages: "external",
  legalComments: "none",
  // Whoever loads it reads it all: names stay, for stack traces.
  minifyWhitespace: true,
  // Not `minifySyntax`: it makes templates of additions, whose parts engines turn into text first.
  minifySyntax: false,
  logLevel: "warning",
  plugins: [shared],
};

for (const format of ["esm", "cjs"]) {
  const out = join(dist, format);
  await build({
    ...common,
    format,
    outdir: out,
    entryPoints: [
      { in: "ts/internal.ts", out: "internal" },
      ...entries.map((name) => ({ in: `ts/entries/${name}.ts`, out: name })),
    ],
    ...(format === "cjs"
      ? { define: { "import.meta.url": "import_meta_url" }, banner: { js: 'const import_meta_url = require("node:url").pathToFileURL(__filename).href;' } }
      : {}),
  });
}

// The same declarations for `require`: what a declaration file is, is told by the package.json beside it.
const declarations = (folder, under = "") => {
  for (const entry of readdirSync(join(folder, under), { withFileTypes: true })) {
    const path = join(under, entry.name);
    if (entry.isDirectory()) declarations(folder, path);
    else if (entry.name.endsWith(".d.ts")) {
      mkdirSync(join(dist, "cjs", under), { recursive: true });
      copyFileSync(join(folder, path), join(dist, "cjs", path));
    }
  }
};
declarations(join(dist, "esm"));
writeFileSync(join(dist, "cjs", "package.json"), '{ "type": "commonjs" }\n');

// Where WebAssembly has been built, its entries too: `dist` is made anew as a whole.
if (existsSync(join(home, "wasm", "full.wasm"))) {
  await import("./edge.mjs");
}
