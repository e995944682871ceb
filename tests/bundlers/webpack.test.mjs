// webpack without a configuration file: a page, and a Worker.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { collector, freshKey } from "../../bindings-node/test/collector.mjs";
import { PAGE, WORKER } from "./apps.mjs";
import { open, skip } from "./page.mjs";
import { Project, settings, workerd } from "./project.mjs";
import { assertStored } from "./stored.mjs";

let server;
before(async () => {
  server = await collector();
});

test("webpack: a page", { skip }, async () => {
  const key = freshKey();
  const project = new Project({ "page.js": PAGE, "index.html": `<html id="${key}"><script src="/dist/main.js"></script></html>` });
  await project.run("webpack", ["--mode=production", "--entry=./page.js"]);
  assert.equal((await open(project.folder, server)).delivered, 1);
  assert.deepEqual((await server.scores(key)).map(({ name }) => name), ["thumbs"]);
});

test("webpack: a Worker", async () => {
  const options = ["--mode=production", "--target=webworker", "--entry=./worker.js", "--output-module", "--output-library-type=module"];
  const project = new Project({ "worker.js": WORKER });
  await project.run("webpack", options);
  const key = freshKey();
  const miniflare = await workerd(project.path("dist"), "main.mjs", { bindings: settings(server, key) });
  const answer = await miniflare.dispatchFetch("http://worker/");
  assert.match(await answer.text(), /^[0-9a-f]{32}$/);
  await assertStored(server, key);
});
