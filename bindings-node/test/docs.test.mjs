// The code of the pages about entries runs as it stands, with the models and servers that it leaves open.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { collector, freshKey, run } from "./collector.mjs";

const docs = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "docs");
const blocks = (page) => [...readFileSync(join(docs, page), "utf8").matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code);

let server;
before(async () => {
  server = await collector();
});

async function ran(source, told = /^$/) {
  const key = freshKey();
  const ended = await run(source, { url: server.url, key });
  assert.equal(ended.code, 0, ended.err);
  assert.match(ended.err, told);
  return { key, rows: await server.list(key), out: ended.out };
}

test("node-opentelemetry.md", async () => {
  const [code] = blocks("node-opentelemetry.md");
  const { rows } = await ran(`
    import { MockLanguageModelV3 } from "ai/test";
    const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };
    const model = new MockLanguageModelV3({ doGenerate: async () => ({ content: [{ type: "text", text: "hi" }], finishReason: { unified: "stop" }, usage, warnings: [] }) });
    const prompt = "hello";
    ${code}`);
  const [outer, inner] = ["ai.generateText", "ai.generateText.doGenerate"].map((name) => rows.find((row) => row.name === name));
  assert.equal(inner.parent, outer.span_id);
});

test("node-langfuse.md", async () => {
  const [code] = blocks("node-langfuse.md");
  const source = `
    import * as first from "tracespool/client";
    const setup = new first.LangfuseClient();
    await setup.prompt.create({ name: "greeting", prompt: "Hello {{name}}", labels: ["production"] });
    await setup.api.datasets.create({ name: "capitals" });
    await setup.dataset.createItem({ datasetName: "capitals", input: "Italy" });
    const traceId = "a".repeat(32);
    const answer = async () => "Rome";
    ${code}`;
  // The collector has no runs of datasets.
  const { rows, key } = await ran(source, /^tracespool: an experiment's item cannot be linked to its dataset: .*\n$/);
  assert.deepEqual(rows.map((row) => [row.name, row.output]), [["experiment-item-run", "Rome"]]);
  assert.equal((await server.scores(key))[0].name, "helpful");
});

test("node-frameworks.md", async () => {
  const [express, fastify, next] = blocks("node-frameworks.md");
  const asked = `await fetch("http://127.0.0.1:" + http.address().port + "/chat", { method: "POST", body: "{}", headers: { "x-user": "u1", "x-session": "s1" } });
    await new Promise((resolve) => setTimeout(resolve, 50)); http.closeAllConnections(); http.close();`;
  const first = await ran(`const chat = (_request, response) => response.json({}); ${express}
    const http = app.listen(0, "127.0.0.1"); await new Promise((resolve) => http.once("listening", resolve)); ${asked}`);
  assert.deepEqual(first.rows.map((row) => [row.name, row.user_id ?? row.attributes["user.id"]]), [["POST /chat", "u1"]]);
  const second = await ran(`${fastify}
    app.post("/chat", async () => ({})); await app.listen({ port: 0, host: "127.0.0.1" }); const http = app.server; ${asked}`);
  assert.deepEqual(second.rows.map((row) => [row.name, row.attributes["session.id"]]), [["POST /chat", "s1"]]);
  const third = await ran(`const chat = async (said) => said; ${next.replace("export ", "")}
    await (await POST(new Request("http://localhost/api/chat", { method: "POST", body: "{}" }))).json();`);
  assert.deepEqual(third.rows.map((row) => row.name), ["chat"]);
});
