import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { before, test } from "node:test";

import * as t from "tracespool";
import { collector } from "./collector.mjs";
import { fresh, lines } from "./fresh.mjs";

let server;
before(async () => {
  server = await collector();
});

const CONTENT = Buffer.from("\x89PNG picture");
const B64 = CONTENT.toString("base64");
const id = (content) => createHash("sha256").update(content).digest("base64url").slice(0, 22);
const reference = (type = "image/png", source = "base64_data_uri", content = CONTENT) => `@@@langfuseMedia:type=${type}|id=${id(content)}|source=${source}@@@`;
const uses = async (key) => (await server.get("/api/v1/media", { project: key, limit: 1000 })).data;

const SHAPES = {
  "a data URI": [`data:image/png;base64,${B64}`, reference()],
  "inside": [{ url: { x: [`data:image/png;base64,${B64}`] } }, { url: { x: [reference()] } }],
  "Anthropic": [{ type: "image", source: { type: "base64", media_type: "image/jpeg", data: B64 } }, { type: "image", source: { type: "base64", media_type: "image/jpeg", data: reference("image/jpeg") } }],
  "Vertex AI": [{ type: "media", mime_type: "audio/mp3", data: B64 }, { type: "media", mime_type: "audio/mp3", data: reference("audio/mp3") }],
  "Gemini": [{ inlineData: { mimeType: "image/png", data: B64 } }, { inlineData: { mimeType: "image/png", data: reference() } }],
  "Gemini, bytes": [{ inline_data: { mime_type: "image/png", data: CONTENT } }, { inline_data: { mime_type: "image/png", data: reference("image/png", "bytes") } }],
  "OpenAI": [{ type: "input_audio", input_audio: { format: "wav", data: B64 } }, { type: "input_audio", input_audio: { format: "wav", data: reference("audio/wav") } }],
  "LangfuseMedia": [[new t.LangfuseMedia({ source: "bytes", contentBytes: CONTENT, contentType: "image/png" })], [reference("image/png", "bytes")]],
};

for (const [name, [value, expected]] of Object.entries(SHAPES)) {
  test(`found: ${name}`, async () => {
    const { client, key, sent } = fresh(server);
    client.startObservation("m", { input: value }).end();
    const { m } = await sent();
    assert.deepEqual(typeof expected === "string" ? m.input : JSON.parse(m.input), expected);
    const [use] = await uses(key);
    assert.deepEqual([use.id, use.field, use.status], [id(CONTENT), "input", 200]);
    assert.equal(use.observation_id, m.span_id);
  });
}

test("in output and metadata, each content once", async () => {
  const { client, key, sent } = fresh(server);
  const uri = `data:image/png;base64,${B64}`;
  client.startObservation("m", { output: [uri, uri], metadata: { picture: uri, n: 1 } }).end();
  const { m } = await sent();
  assert.deepEqual(JSON.parse(m.output), [reference(), reference()]);
  assert.deepEqual(m.metadata, { picture: reference(), n: 1 });
  assert.deepEqual((await uses(key)).map((use) => use.field).sort(), ["metadata", "output"]);
  assert.equal((await server.counts(key)).media.uploads, 1);
});

test("what is none stays", async () => {
  const { client, key, sent } = fresh(server);
  const values = ["data:", "data:image/png,plain", { type: "base64", media_type: "image/png", data: "!!!" }, { data: B64 }, { type: "base64", data: 5 }];
  client.startObservation("m", { input: values }).end();
  assert.deepEqual(JSON.parse((await sent()).m.input), values);
  assert.deepEqual(await uses(key), []);
});

test("not where it is switched off", async () => {
  const { client, key, sent } = fresh(server, { mediaUploadEnabled: false });
  const uri = `data:image/png;base64,${B64}`;
  client.startObservation("m", { input: uri }).end();
  assert.equal((await sent()).m.input, uri);
  assert.deepEqual(await uses(key), []);
});

test("LangfuseMedia, and a stored content", async () => {
  const { client, sent } = fresh(server);
  const media = new t.LangfuseMedia({ source: "base64_data_uri", base64DataUri: `data:image/png;base64,${B64}` });
  assert.equal(await media.getId(), id(CONTENT));
  assert.equal(await media.getTag(), reference());
  assert.equal(await media.getSha256Hash(), createHash("sha256").update(CONTENT).digest("base64"));
  assert.equal(media.base64DataUri, `data:image/png;base64,${B64}`);
  const told = await lines(() => assert.equal(new t.LangfuseMedia({ source: "bytes" }).reference, null));
  assert.equal(told.length, 1);
  const known = new t.LangfuseMediaReference({ mediaId: "m", contentType: "image/png", url: "http://h/", referenceString: reference() });
  client.startObservation("m", { input: { media, known } }).end();
  assert.deepEqual(JSON.parse((await sent()).m.input), { media: reference(), known: reference() });
  assert.deepEqual(t.MediaManager.parseReferenceString(reference()), { contentType: "image/png", mediaId: id(CONTENT), source: "base64_data_uri" });
  assert.throws(() => t.MediaManager.parseReferenceString("nothing"));
  const resolved = await client.media.resolveReferences({ obj: { a: [`see ${reference()}`], b: 1 }, resolveWith: "base64DataUri" });
  assert.deepEqual(resolved, { a: [`see data:image/png;base64,${B64}`], b: 1 });
});
