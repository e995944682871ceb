// The declarations, with those of the real packages, as strict as TypeScript can be.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");

for (const place of ["current", "earlier"]) {
  test(`${place}: observed clients keep their type, and the handler is one of LangChain's`, { timeout: 120_000 }, () => {
    const folder = mkdtempSync(join(here, place, ".types-"));
    try {
      copyFileSync(join(here, "types", "program.ts"), join(folder, "program.ts"));
      const dist = join(here, "..", "..", "dist", "esm", "entries");
      const paths = { tracespool: [join(dist, "index.d.ts")], "tracespool/*": [join(dist, "*.d.ts")] };
      // The other packages' own declarations are not ours to check.
      const compilerOptions = { strict: true, noEmit: true, module: "NodeNext", target: "ES2022", lib: ["ES2023", "DOM", "DOM.AsyncIterable", "ESNext.Disposable"], skipLibCheck: true, types: [], paths };
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["program.ts"] }));
      let said = "";
      try {
        execFileSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
      } catch (error) {
        said = error.stdout;
      }
      assert.equal(said, "");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
