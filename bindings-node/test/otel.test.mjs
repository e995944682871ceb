import assert from "node:assert/strict";
import { before, test } from "node:test";

import { ROOT_CONTEXT, context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { AlwaysOffSampler, BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import * as t from "tracespool";
import { collector, freshKey, pause, run } from "./collector.mjs";
import { fresh } from "./fresh.mjs";

let server;
const provider = new BasicTracerProvider();
const tracer = provider.getTracer("app");
before(async () => {
  server = await collector();
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
});

const inSpan = (span, fn) => context.with(trace.setSpan(context.active(), span), fn);
const remote = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7", traceFlags: 1, isRemote: true };

test("a span that is not sent to us gives its trace id", async () => {
  const { client, sent } = fresh(server);
  const span = tracer.startSpan("http");
  inSpan(span, () => {
    assert.equal(t.getActiveTraceId(), span.spanContext().traceId);
    client.startActiveObservation("root", () => t.startObservation("child").end());
  });
  const { root, child } = await sent();
  assert.deepEqual([root.trace_id, root.parent, root.is_app_root], [span.spanContext().traceId, null, true]);
  assert.equal(child.parent, root.span_id);
});

test("an observation is OpenTelemetry's current span, also after await; it records nothing", async () => {
  const { client, sent } = fresh(server);
  await client.startActiveObservation("outer", async (outer) => {
    await pause(1);
    const span = trace.getActiveSpan();
    assert.deepEqual([span.spanContext().traceId, span.spanContext().spanId, span.isRecording()], [outer.traceId, outer.id, false]);
    const below = tracer.startSpan("db");
    assert.equal(below.spanContext().traceId, outer.traceId);
    inSpan(below, () => {
      assert.equal(t.getActiveSpanId(), below.spanContext().spanId);
      t.startObservation("below a span").end();
    });
  });
  assert.equal(trace.getActiveSpan(), undefined);
  const found = await sent();
  assert.equal(found["below a span"].parent, found.outer.span_id);
});

test("a remote parent is kept", async () => {
  const { client, sent } = fresh(server);
  context.with(trace.setSpanContext(ROOT_CONTEXT, remote), () => client.startObservation("remote").end());
  const { remote: found } = await sent();
  assert.deepEqual([found.trace_id, found.parent, found.is_app_root], [remote.traceId, remote.spanId, true]);
});

test("baggage says what another process did; the root may be there", async () => {
  const { client, sent } = fresh(server);
  const baggage = propagation.createBaggage({ langfuse_user_id: { value: "u1" }, langfuse_trace_id: { value: remote.traceId }, other: { value: "x" } });
  const active = propagation.setBaggage(trace.setSpanContext(ROOT_CONTEXT, remote), baggage);
  context.with(active, () => {
    client.startObservation("continued").end();
    client.use(() => t.propagateAttributes({ userId: "u2" }, () => t.startObservation("own").end()));
  });
  const { continued, own } = await sent();
  assert.deepEqual([continued.user, continued.parent], ["u1", remote.spanId]);
  assert.ok(!continued.is_app_root);
  assert.equal(own.user, "u2");
});

test("asBaggage reaches OpenTelemetry's propagators, and nothing else does", async () => {
  const { client } = fresh(server);
  client.startActiveObservation("x", (x) => {
    t.propagateAttributes({ userId: "u1" }, () => assert.equal(propagation.getActiveBaggage(), undefined));
    t.propagateAttributes({ userId: "u1", asBaggage: true }, () => {
      const entries = Object.fromEntries(propagation.getActiveBaggage().getAllEntries());
      assert.deepEqual(entries, { langfuse_user_id: { value: "u1" }, langfuse_trace_id: { value: x.traceId } });
    });
  });
});

test("a parent that is not sampled does not drop, unless that is asked for", async () => {
  const off = new BasicTracerProvider({ sampler: new AlwaysOffSampler() }).getTracer("off").startSpan("off");
  const kept = fresh(server);
  const follows = fresh(server, { followParentSampling: true });
  inSpan(off, () => {
    kept.client.startObservation("kept").end();
    follows.client.startObservation("dropped").end();
  });
  assert.deepEqual(Object.keys(await kept.sent()), ["kept"]);
  assert.deepEqual(await follows.sent(), {});
});

test("nothing global is registered, and nothing imported", async () => {
  const ended = await run(
    `import { startActiveObservation, getClient } from "tracespool";
     startActiveObservation("x", () => undefined);
     console.log(globalThis[Symbol.for("opentelemetry.js.api.1")], Object.keys(globalThis).filter((name) => /tracespool|langfuse|otel/i.test(name)).length);`,
    { url: server.url, key: freshKey() },
  );
  assert.equal(ended.out.trim(), "undefined 0");
});

test("TRACESPOOL_OTEL_CONTEXT=0 keeps the two apart", async () => {
  const key = freshKey();
  const ended = await run(
    `import { context, trace } from "@opentelemetry/api";
     import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
     import { startActiveObservation } from "tracespool";
     context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
     context.with(trace.setSpanContext(context.active(), ${JSON.stringify(remote)}), () => startActiveObservation("apart", () => console.log(trace.getActiveSpan().spanContext().spanId)));`,
    { url: server.url, key, env: { TRACESPOOL_OTEL_CONTEXT: "0" } },
  );
  assert.equal(ended.out.trim(), remote.spanId, ended.err);
  assert.equal((await server.observations(key)).apart.parent, null);
});
