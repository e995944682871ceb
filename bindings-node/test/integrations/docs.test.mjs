// The programs in docs/node-integrations.md run, and store what they say.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";

import { collector, freshKey, run } from "../collector.mjs";
import { ANSWER, openaiServer } from "./openai_server.mjs";

const text = readFileSync(new URL("../../../docs/node-integrations.md", import.meta.url), "utf8");
const programs = [...text.matchAll(/```js\n(.*?)```/gs)].map(([, program]) => program);
const { resolve } = createRequire(new URL("./current/", import.meta.url));

/** The packages are where the tests have them. */
const module = (name) => {
  const path = resolve(name);
  const other = [path.replace(/\.cjs$/, ".js"), path.replace(/\.js$/, ".mjs")].find((each) => each !== path && existsSync(each));
  return pathToFileURL(other ?? path).href;
};

let store;
let server;
before(async () => {
  store = await collector();
  server = await openaiServer();
});
after(() => server.close());

async function stored(program) {
  const key = freshKey();
  const source = program.replace(/from "(openai|@langchain\/[^"]+)"/g, (_, name) => `from "${module(name)}"`);
  const { code, err, out } = await run(source, { url: store.url, key, env: { OPENAI_API_KEY: "k", OPENAI_BASE_URL: server.url } });
  assert.equal(code, 0, err);
  assert.equal(err, "");
  const rows = await store.list(key);
  assert.equal(rows.length, 1);
  return { row: rows[0], out };
}

test("there are two", () => assert.equal(programs.length, 2));

test("OpenAI", async () => {
  const { row } = await stored(programs[0]);
  assert.equal(row.name, "answer");
  assert.deepEqual([row.attributes["session.id"], row.attributes["user.id"]], ["chat-12", "user-7"]);
  assert.equal(JSON.parse(row.output).content, ANSWER);
});

test("LangChain", async () => {
  const { row, out } = await stored(programs[1]);
  assert.equal(out.trim(), row.trace_id);
  assert.equal(row.attributes["session.id"], "chat-12");
  assert.deepEqual(row.attributes["langfuse.trace.tags"], ["support"]);
  assert.equal(JSON.parse(row.output).content, "Forty-two.");
});
