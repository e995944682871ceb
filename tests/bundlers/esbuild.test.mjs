// esbuild, by its command line.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { collector, freshKey } from "../../bindings-node/test/collector.mjs";
import { PAGE, PROGRAM, WORKER } from "./apps.mjs";
import { open, skip } from "./page.mjs";
import { Project, settings, workerd } from "./project.mjs";
import { assertStored } from "./stored.mjs";

let server;
before(async () => {
  server = await collector();
});

test("esbuild: a Worker, the module copied beside the script", async () => {
  const project = new Project({ "worker.js": WORKER });
  const conditions = "--conditions=workerd,worker,browser";
  await project.run("esbuild", ["worker.js", "--bundle", "--minify", "--format=esm", conditions, "--external:cloudflare:*", "--loader:.wasm=copy", "--outdir=out"]);
  const key = freshKey();
  const miniflare = await workerd(project.path("out"), "worker.js", { bindings: settings(server, key) });
  const answer = await miniflare.dispatchFetch("http://worker/");
  assert.match(await answer.text(), /^[0-9a-f]{32}$/);
  await assertStored(server, key);
});

test("esbuild: a page, without any option but --bundle", { skip }, async () => {
  const key = freshKey();
  const project = new Project({ "page.js": PAGE, "index.html": `<html id="${key}"><script type="module" src="/out.js"></script></html>` });
  await project.run("esbuild", ["page.js", "--bundle", "--format=esm", "--outfile=out.js"]);
  assert.equal((await open(project.folder, server)).delivered, 1);
  assert.deepEqual((await server.scores(key)).map(({ name }) => name), ["thumbs"]);
});

for (const format of ["esm", "cjs"]) {
  test(`esbuild: a program of Node's as ${format}`, async () => {
    const project = new Project({ "program.js": format === "cjs" ? `(async () => {${PROGRAM.replace(/import (.*) from "(.*)";/, 'const $1 = require("$2");')}})();` : PROGRAM });
    const file = `out.${format === "cjs" ? "cjs" : "mjs"}`;
    await project.run("esbuild", ["program.js", "--bundle", "--platform=node", `--format=${format}`, `--outfile=${file}`]);
    const key = freshKey();
    assert.equal(await project.run("node", [file], { env: settings(server, key) }), "");
    await assertStored(server, key);
  });
}
