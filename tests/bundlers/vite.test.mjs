// Vite: a page, a Worker by Cloudflare's plugin, and a server-side build.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
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

test("Vite: a page", { skip }, async () => {
  const key = freshKey();
  const project = new Project({ "src/page.js": PAGE, "index.html": `<html id="${key}"><script type="module" src="/src/page.js"></script></html>` });
  await project.run("vite", ["build"]);
  assert.equal((await open(project.path("dist"), server)).delivered, 1);
  assert.deepEqual((await server.scores(key)).map(({ name }) => name), ["thumbs"]);
});

test("Vite: a Worker", async () => {
  const project = new Project({
    "worker.js": WORKER,
    "vite.config.js": 'import { cloudflare } from "@cloudflare/vite-plugin";\nexport default { plugins: [cloudflare()] };',
    "wrangler.json": JSON.stringify({ name: "app", main: "worker.js", compatibility_date: "2026-01-01", compatibility_flags: ["nodejs_compat"] }),
  });
  await project.run("vite", ["build"]);
  const [out] = readdirSync(project.path("dist"));
  const folder = project.path("dist", out);
  const key = freshKey();
  const miniflare = await workerd(folder, "index.js", { bindings: settings(server, key) });
  const answer = await miniflare.dispatchFetch("http://worker/");
  assert.match(await answer.text(), /^[0-9a-f]{32}$/);
  await assertStored(server, key);
});

test("Vite: a server-side build, everything bundled", async () => {
  const project = new Project({ "program.js": PROGRAM, "vite.config.js": "export default { ssr: { noExternal: true } };" });
  await project.run("vite", ["build", "--ssr", "program.js"]);
  const key = freshKey();
  assert.equal(await project.run("node", ["dist/program.js"], { env: settings(server, key) }), "");
  await assertStored(server, key);
});
