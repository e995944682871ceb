// What `tracespool/tracing` has beside the names of the main entry.
import assert from "node:assert/strict";
import { before, test } from "node:test";

import { ROOT_CONTEXT, context, trace } from "@opentelemetry/api";
import * as theirs from "@langfuse/tracing";
import * as t from "tracespool";
import * as ours from "tracespool/tracing";
import { collector } from "./collector.mjs";
import { fresh, lines } from "./fresh.mjs";

let server;
before(async () => {
  server = await collector();
});

test("attributes for spans are those that @langfuse/tracing makes", () => {
  const all = {
    input: { a: 1, text: 'q"uote' },
    output: "x",
    metadata: { k: 5, s: "t", n: null, o: { x: [1] }, e: "", u: undefined },
    level: "ERROR",
    statusMessage: "m",
    version: "v",
    environment: "e",
    completionStartTime: new Date(0),
    model: "m",
    modelParameters: { t: 1 },
    usageDetails: { i: 1 },
    costDetails: { c: 2 },
    prompt: { name: "p", version: 3, isFallback: false },
  };
  for (const [type, given] of [
    ["generation", all],
    ["span", {}],
    ["tool", { input: 0, output: null, metadata: "text", prompt: { name: "p", version: 3, isFallback: true } }],
    ["agent", { input: false, output: [], metadata: [1, 2] }],
  ]) {
    assert.deepEqual(ours.createObservationAttributes(type, given), theirs.createObservationAttributes(type, given), type);
  }
  for (const given of [undefined, {}, { input: { a: 1 }, output: "x" }]) {
    assert.deepEqual(ours.createTraceAttributes(given), theirs.createTraceAttributes(given));
  }
  const cycle = {};
  cycle.self = cycle;
  const [made] = [ours.createObservationAttributes("span", { input: { cycle, big: 1n, "key\u001f": "a\u001fb", text: 'x"y' } })];
  assert.deepEqual(Object.keys(JSON.parse(made["langfuse.observation.input"])), ["cycle", "big", "key\u001f", "text"]);
});

test("spans of the tracer are observations, without OpenTelemetry's SDK", async () => {
  const { client, sent } = fresh(server);
  await client.use(async () => {
    const tracer = ours.getLangfuseTracer();
    await tracer.startActiveSpan("outer", { attributes: { "langfuse.observation.type": "agent", "langfuse.observation.input": "in", other: 3 } }, async (outer) => {
      await null;
      assert.equal(ours.getActiveSpanId(), outer.spanContext().spanId);
      tracer.startSpan("child").end();
      ours.startObservation("observation").end();
      tracer.startSpan("root", { root: true }).end();
      tracer.startSpan("remote", {}, trace.setSpanContext(ROOT_CONTEXT, { traceId: "a".repeat(32), spanId: "b".repeat(16), traceFlags: 1, isRemote: true })).end();
      outer.recordException(new Error("seen"));
      outer.end();
    });
    assert.equal(tracer.startActiveSpan("result", (span) => (span.end(), 42)), 42);
    assert.equal(tracer.startActiveSpan("with context", {}, context.active(), (span) => (span.end(), 43)), 43);
  });
  const found = await sent();
  const { outer } = found;
  assert.deepEqual([outer.type, outer.input, outer.metadata.other, outer.level], ["agent", "in", 3, "ERROR"]);
  assert.equal(found.child.parent, outer.span_id);
  assert.equal(found.observation.parent, outer.span_id);
  assert.notEqual(found.root.trace_id, outer.trace_id);
  assert.deepEqual([found.remote.trace_id, found.remote.parent], ["a".repeat(32), "b".repeat(16)]);
});

test("a provider that is set is given back; observations go to their client all the same", async () => {
  const asked = [];
  const provider = { getTracer: (...args) => (asked.push(args), { own: true }) };
  ours.setLangfuseTracerProvider(provider);
  try {
    assert.equal(ours.getLangfuseTracerProvider(), provider);
    assert.deepEqual(ours.getLangfuseTracer(), { own: true });
    assert.equal(asked.length, 1);
    const { client, sent } = fresh(server);
    client.use(() => ours.startObservation("sent").end());
    assert.deepEqual(Object.keys(await sent()), ["sent"]);
    assert.equal((await lines(() => ours.setLangfuseTracerProvider("no"))).length, 1);
    assert.equal(ours.getLangfuseTracerProvider(), provider);
  } finally {
    ours.setLangfuseTracerProvider(null);
  }
  assert.notEqual(ours.getLangfuseTracerProvider(), provider);
  assert.equal(globalThis[Symbol.for("langfuse")]?.isolatedTracerProvider ?? null, null, "nothing of theirs is touched");
  assert.equal(t.startObservation, ours.startObservation, "one copy");
});
