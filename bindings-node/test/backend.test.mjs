import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Letter, VERSION, backend } from "tracespool/internal";

test("the version is the package's, and the binary's", () => {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  assert.equal(VERSION, version);
  assert.equal(backend().version(), version);
});

test("what the binary gives back is of the types that the interface says", () => {
  const core = backend();
  const handle = core.open('{"public_key":"pk-t","secret_key":"sk-t","base_url":"http://127.0.0.1:9"}');
  assert.equal(typeof handle, "number");
  const settings = JSON.parse(core.settings(handle));
  const types = { enabled: "boolean", public_key: "string", base_url: "string", sample_rate: "number", destination: "string", langfuse: "boolean", media: "boolean", prompt_ttl: "number" };
  for (const [name, type] of Object.entries(types)) {
    assert.equal(typeof settings[name], type, name);
  }
  assert.ok(settings.environment === null && settings.release === null);
  assert.equal(core.keeps(handle, "0".repeat(31) + "1"), true);
  assert.equal(core.score(handle, '{"name":"n","value":1,"session_id":"s"}'), null);
  assert.equal(typeof core.score(handle, "{}"), "string");
  assert.equal(core.media(handle, "x", "y", "input", "", "no"), null);
  assert.deepEqual(JSON.parse(core.propagate("", "{}")), { record: "", problems: [] });
  assert.equal(core.mediaType("{}"), null);
  assert.equal(core.traceparent("no"), null);
  assert.match(core.traceId(), /^[0-9a-f]{32}$/);
  assert.ok(Array.isArray(core.find("pk-t")));
  const ticket = core.flush(handle, 0, false);
  assert.equal(typeof ticket, "number");
  assert.equal(typeof core.stats(), "string");
  core.release(handle);
  assert.equal(core.settings(handle), "");
});

test("the letters of a record are those of the core", () => {
  const fields = JSON.parse(backend().fields());
  const mine = Object.values(Letter).filter((letter) => letter !== Letter.exception);
  assert.deepEqual(mine.sort(), Object.keys(fields).sort());
});
