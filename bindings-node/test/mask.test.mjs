import assert from "node:assert/strict";
import { before, test } from "node:test";

import * as t from "tracespool";
import { collector, pause, run, freshKey } from "./collector.mjs";
import { fresh } from "./fresh.mjs";

let server;
before(async () => {
  server = await collector();
});

const FAILED = "<fully masked due to failed mask function>";
const hide = (data) => JSON.parse(JSON.stringify(data).replaceAll("secret", "***"));
const everything = async (client, work) => {
  client.startActiveObservation("m", (m) => {
    m.update({ input: { a: "secret 1" }, output: "secret 2", metadata: { k: "secret 3", n: 5 }, statusMessage: "secret 4" });
    t.startObservation("stream parent").end();
    work?.(m);
  });
  t.propagateAttributes({ userId: "u", metadata: { trace: "secret 9" } }, () => client.startActiveObservation("scoped", () => t.propagateAttributes({ metadata: { inner: "secret 10" } }, () => t.startObservation("inner").end())));
  await assert.rejects(client.startActiveObservation("thrown", async () => { throw new Error("secret 5"); }));
  for await (const _ of client.observe(async function* stream() { yield { x: "secret 6" }; yield "secret 7"; })()) {
    // Consumed.
  }
  client.score({ name: "s", value: 1, traceId: client.createTraceId(), metadata: { m: "secret 8" } });
};

for (const [name, mask] of Object.entries({
  "at once": ({ data }) => hide(data),
  "later": async ({ data }) => {
    await pause(5);
    return hide(data);
  },
})) {
  test(`everything that leaves is masked: ${name}`, async () => {
    const { client, key, sent } = fresh(server, { mask });
    await everything(client);
    const found = await sent();
    assert.ok(!JSON.stringify(found).includes("secret"), JSON.stringify(found).match(/.{80}secret.{20}/)?.[0]);
    assert.ok(!JSON.stringify(await server.scores(key)).includes("secret"));
    assert.equal(found.m.input, '{"a":"*** 1"}');
    assert.equal(found.m.output, "*** 2");
    assert.deepEqual(found.m.metadata, { k: "*** 3", n: 5 });
    assert.equal(found.m.status_message, "*** 4");
    assert.match(found.thrown.status_message, /\*\*\* 5/);
    assert.equal(found.thrown.level, "ERROR");
    assert.equal(found.stream.output, '[{"x":"*** 6"},"*** 7"]');
    for (const name of ["scoped", "inner"]) {
      assert.equal(found[name].user, "u");
      assert.equal(found[name].attributes["langfuse.trace.metadata.trace"], "*** 9");
      assert.equal(found[name].attributes["langfuse.trace.metadata.inner"], "*** 10");
    }
  });
}

for (const [name, mask] of Object.entries({
  "throws": () => { throw new Error("mask"); },
  "rejects": async () => { await pause(1); throw new Error("mask"); },
  "is no function": "nonsense",
})) {
  test(`a mask that ${name}: content is dropped and counted, the rest is sent`, async () => {
    const { client, sent } = fresh(server, { mask });
    await everything(client, (m) => m.update({ version: "v1" }));
    const text = JSON.stringify(await sent());
    const { m } = await server.observations(client.publicKey);
    assert.ok(!text.includes("secret"));
    assert.deepEqual([m.input, m.output, m.version], [FAILED, FAILED, "v1"]);
    assert.deepEqual(m.metadata, { k: FAILED, n: FAILED });
    assert.match(JSON.stringify(t.stats()), /mask_failed/);
  });
}

test("later answers do not overtake: the last one said stays", async () => {
  let calls = 0;
  const { client, sent } = fresh(server, {
    mask: async ({ data }) => {
      calls += 1;
      await pause(calls === 1 ? 30 : 1);
      return data;
    },
  });
  const observation = client.startObservation("order", { output: "first" });
  observation.update({ output: "second", metadata: { a: 1 } });
  observation.update({ metadata: { a: 2, b: 3 } });
  observation.end();
  const { order } = await sent();
  assert.equal(order.output, "second");
  assert.deepEqual(order.metadata, { a: 2, b: 3 });
});

test("a mask may leave keys out", async () => {
  for (const later of [false, true]) {
    const mask = ({ data }) => (data?.secret === undefined ? data : { kept: data.kept });
    const { client, sent } = fresh(server, { mask: later ? async (params) => mask(params) : mask });
    const metadata = { kept: 1, secret: "x" };
    client.use(() => t.propagateAttributes({ metadata }, () => t.startObservation("o", { metadata }).end()));
    const { o } = await sent();
    assert.deepEqual(o.metadata, { kept: 1 });
    assert.deepEqual(Object.keys(o.attributes).filter((key) => key.startsWith("langfuse.trace.metadata")), ["langfuse.trace.metadata.kept"]);
  }
});

test("a flush waits for masks, within its time; one that never answers costs the content", async () => {
  const { client } = fresh(server, { mask: ({ data }) => (data === "never" ? new Promise(() => {}) : data) });
  client.startObservation("kept", { input: "x" }).end();
  client.startObservation("waits", { input: "never" }).end();
  const began = performance.now();
  const report = await client.flush({ timeout: 300 });
  const took = performance.now() - began;
  assert.ok(took >= 280 && took < 800, `${took}`);
  assert.deepEqual([report.complete, report.pending], [false, 1]);
  assert.ok((await server.observations(client.publicKey)).kept);
});

test("at exit what is not masked goes without content", async () => {
  const key = freshKey();
  const ended = await run(
    `import { Client } from "tracespool";
     const client = new Client({ mask: ({ data }) => new Promise((resolve) => data === "slow" ? setTimeout(() => resolve("masked"), 100) : undefined) });
     client.startObservation("never", { input: "secret", model: "m" }, { asType: "generation" }).end();
     client.startObservation("slow", { input: "slow" }).end();
     ${"setTimeout(() => process.exit(), 500);"}`,
    { url: server.url, key },
  );
  assert.equal(ended.code, 0, ended.err);
  const { never, slow } = await server.observations(key);
  assert.deepEqual([never.input, never.model, slow.input], [FAILED, "m", "masked"]);
});
