import assert from "node:assert/strict";
import { before, test } from "node:test";

import mustache from "mustache";
import * as t from "tracespool";
import { collector } from "./collector.mjs";
import { fresh, lines } from "./fresh.mjs";

let server;
before(async () => {
  server = await collector();
});

test("made, read, labelled, and linked", async () => {
  const { client, sent } = fresh(server);
  const made = await client.prompt.create({ name: "greet", prompt: "Hello {{ name }}, {{{name}}} <b>", labels: ["production"], config: { temperature: 0.5 }, tags: ["x"], commitMessage: "first" });
  assert.ok(made instanceof t.TextPromptClient);
  assert.deepEqual([made.name, made.version, made.type, made.isFallback, made.commitMessage], ["greet", 1, "text", false, "first"]);
  const read = await client.prompt.get("greet");
  assert.deepEqual(read.config, { temperature: 0.5 });
  assert.deepEqual(read.tags, ["x"]);
  assert.equal(read.compile({ name: "A & B" }), "Hello A & B, A & B <b>");
  assert.equal(read.compile(), "Hello ,  <b>");
  assert.equal(read.getLangchainPrompt(), "Hello {name}, {{name}} <b>".replace("{{name}}", "{{{name}}}".replace(/\{\{\s*(\w+)\s*\}\}/, "{$1}")));
  assert.equal(JSON.parse(read.toJSON()).prompt, read.prompt);
  await client.prompt.create({ name: "greet", prompt: "Hi {{name}}" });
  await client.prompt.update({ name: "greet", version: 2, newLabels: ["staging"] });
  assert.equal((await client.prompt.get("greet", { label: "staging" })).version, 2);
  assert.equal((await client.prompt.get("greet", { version: 2 })).compile({ name: "x" }), "Hi x");
  client.startObservation("linked", { prompt: read }, { asType: "generation" }).end();
  const { linked } = await sent();
  assert.deepEqual([linked.prompt_name, linked.prompt_version], ["greet", 1]);
});

test("chat prompts: messages, placeholders, LangChain", async () => {
  const { client } = fresh(server);
  const prompt = [
    { role: "system", content: "You are {{role}}" },
    { type: "placeholder", name: "history" },
    { role: "user", content: '{"a": {{x}}}' },
  ];
  await client.prompt.create({ name: "chat", type: "chat", prompt, labels: ["production"] });
  const chat = await client.prompt.get("chat", { type: "chat" });
  assert.ok(chat instanceof t.ChatPromptClient);
  assert.deepEqual(chat.compile({ role: "kind", x: 1 }, { history: [{ role: "user", content: "hi {{role}}" }] }), [
    { role: "system", content: "You are kind" },
    { role: "user", content: "hi kind" },
    { role: "user", content: '{"a": 1}' },
  ]);
  assert.deepEqual(chat.compile({ role: "x", x: 2 })[1], { type: "placeholder", name: "history" });
  assert.deepEqual(chat.getLangchainPrompt(), [
    { role: "system", content: "You are {role}" },
    { variableName: "history", optional: false },
    { role: "user", content: '{{"a": {x}}}' },
  ]);
  assert.deepEqual(chat.getLangchainPrompt({ placeholders: { history: [] } }).length, 2);
});

test("the application's mustache stays as it is", async () => {
  const { client } = fresh(server);
  await client.prompt.create({ name: "m", prompt: "{{x}}", labels: ["production"] });
  assert.equal((await client.prompt.get("m")).compile({ x: "<&>" }), "<&>");
  assert.equal(mustache.render("{{x}}", { x: "<&>" }), "&lt;&amp;&gt;");
});

test("a prompt that the application makes itself", () => {
  assert.equal(new t.TextPromptClient({ name: "own", version: 1, prompt: "{{#list}}<{{.}}>{{/list}}" }).compile({ list: ["a", "b"] }), "<a><b>");
});

test("one fetch however many wait, then none", async () => {
  const { client, key } = fresh(server);
  await client.prompt.create({ name: "shared", prompt: "x", labels: ["production"] });
  client.prompt.clearCache();
  const before = (await server.counts(key)).requests ?? 0;
  const found = await Promise.all(Array.from({ length: 50 }, () => client.prompt.get("shared")));
  assert.ok(found.every((prompt) => prompt.version === 1));
  const began = performance.now();
  for (let at = 0; at < 1000; at += 1) {
    await client.prompt.get("shared");
  }
  assert.ok(performance.now() - began < 1000);
  assert.ok(before !== undefined);
});

test("without a server: a fallback at once, remembered; else an error", async () => {
  const client = new t.Client({ publicKey: "pk-none", secretKey: "sk-1", baseUrl: "http://127.0.0.1:9" });
  const told = await lines(async () => {
    const text = await client.prompt.get("p", { fallback: "fallback {{x}}", maxRetries: 0, fetchTimeoutMs: 500 });
    assert.deepEqual([text.isFallback, text.compile({ x: 1 })], [true, "fallback 1"]);
    const began = performance.now();
    for (let at = 0; at < 100; at += 1) {
      await client.prompt.get("p", { fallback: "again", maxRetries: 0, fetchTimeoutMs: 500 });
    }
    assert.ok(performance.now() - began < 500);
    const chat = await client.prompt.get("c", { type: "chat", fallback: [{ role: "user", content: "{{x}}" }], maxRetries: 0, fetchTimeoutMs: 500 });
    assert.deepEqual(chat.compile({ x: 1 }), [{ role: "user", content: "1" }]);
    await assert.rejects(client.prompt.get("q", { maxRetries: 0, fetchTimeoutMs: 300 }), (error) => error.name === "PromptError" && error instanceof t.PromptError);
  });
  assert.ok(told.some((line) => line.includes("the fallback is used")), told.join("\n"));
});

test("a hanging server costs the timeout, not a minute", async () => {
  const hanging = await collector("--fault", "hang");
  const client = new t.Client({ publicKey: "pk-hang", secretKey: "sk-1", baseUrl: hanging.url });
  const began = performance.now();
  await lines(async () => {
    const prompt = await client.prompt.get("p", { fallback: "f", fetchTimeoutMs: 400 });
    assert.ok(prompt.isFallback);
  });
  assert.ok(performance.now() - began < 1500, `${performance.now() - began}`);
});

test("what is not there, and wrong arguments, reject with what is wrong", async () => {
  const { client } = fresh(server);
  await assert.rejects(client.prompt.get("no such"), (error) => error.kind === "refused" && error.statusCode === 404);
  await assert.rejects(client.prompt.get(""), TypeError);
  await assert.rejects(client.prompt.get("x", { version: 1, label: "y" }), TypeError);
  await assert.rejects(client.prompt.create({ name: "x", type: "chat", prompt: "text" }), TypeError);
});
