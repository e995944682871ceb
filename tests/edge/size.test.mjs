// What a worker that traces one observation weighs, compressed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bundle, read, sizes } from "./host.mjs";

/** Bytes of the script, and of the module. */
const LIMITS = { script: 18_000, module: Number(/^limit=(\d+)$/m.exec(read("../../.ci/wasm-build").toString())[1]) };

test("a worker's size is bounded", async () => {
  const found = sizes(await bundle("one.js"));
  console.log(`a worker that traces one observation: script ${found.script} bytes, module ${found.module} bytes, compressed`);
  assert.ok(found.script <= LIMITS.script, `the script has ${found.script} bytes`);
  assert.ok(found.module <= LIMITS.module, `the module has ${found.module} bytes`);
});
