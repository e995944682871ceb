// Spans of OpenTelemetry's own SDK, and of the Vercel AI SDK, through the span processor.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { before, test } from "node:test";

import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, context, createTraceState, trace } from "@opentelemetry/api";
import { AlwaysOffSampler, InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { resourceFromAttributes } from "@opentelemetry/resources";
import * as theirs from "@langfuse/otel";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { MockLanguageModelV3, simulateReadableStream } from "ai/test";
import { z } from "zod";

import * as t from "tracespool";
import * as ours from "tracespool/otel";
import { collector, freshKey } from "./collector.mjs";
import { lines } from "./fresh.mjs";

let server;
before(async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  server = await collector();
});

function processed(options = {}, provider = {}) {
  const key = freshKey();
  const processor = new ours.TracespoolSpanProcessor({ publicKey: key, secretKey: "sk-very-secret", baseUrl: server.url, ...options });
  const memory = new InMemorySpanExporter();
  const made = new NodeTracerProvider({ spanProcessors: [processor], ...provider });
  return {
    key,
    processor,
    provider: made,
    memory,
    tracer: (name = "openinference.test", version = "1.2") => made.getTracer(name, version),
    async sent() {
      const report = await processor.client.flush({ timeout: 5000 });
      assert.equal(report.complete, true, JSON.stringify(report));
      return server.observations(key);
    },
  };
}

test("a span arrives as it was made", async () => {
  const { tracer, sent } = processed(
    { environment: "testing", release: "r1" },
    { resource: resourceFromAttributes({ "service.name": "shop", "service.instance": 3 }) },
  );
  const span = tracer().startSpan("chat", {
    kind: SpanKind.CLIENT,
    startTime: [1_700_000_000, 123_456_789],
    attributes: { text: "a\u001fb \ud83d\ude00", whole: 5, half: 0.5, flag: true, texts: ["a", "b"], numbers: [1, 2.5], flags: [true, false], none: [], big: 2 ** 60 },
    links: [{ context: { traceId: "a".repeat(32), spanId: "b".repeat(16), traceFlags: 1, isRemote: true, traceState: createTraceState("v=1") }, attributes: { l: "x" } }],
  });
  span.addEvent("exception", { "exception.type": "TypeError", "exception.message": "no" }, [1_700_000_001, 5]);
  span.setStatus({ code: SpanStatusCode.ERROR, message: "bad" });
  span.end([1_700_000_002, 7]);
  const { chat } = await sent();
  assert.equal(chat.span_id, span.spanContext().spanId);
  assert.equal(chat.trace_id, span.spanContext().traceId);
  assert.equal(chat.scope.name, "openinference.test");
  assert.equal(chat.scope.version, "1.2");
  assert.equal(chat.environment, "testing");
  assert.equal(chat.release, "r1");
  assert.equal(chat.is_app_root, true);
  const { attributes } = chat;
  assert.equal(attributes.text, "a\u001fb \ud83d\ude00");
  assert.deepEqual([attributes.whole, attributes.half, attributes.flag], [5, 0.5, true]);
  assert.deepEqual([attributes.texts, attributes.numbers, attributes.flags], [["a", "b"], [1, 2.5], [true, false]]);
  assert.equal(attributes.big, 2 ** 60);
  assert.equal(chat.status_message ?? chat.statusMessage, "bad");
  const text = JSON.stringify(chat);
  for (const part of ["TypeError", "shop", "exception"]) {
    assert.ok(text.includes(part), `${part} in ${text}`);
  }
});

test("observations and spans are each other's parents, and scopes hold for both", async () => {
  const { processor, tracer, sent } = processed();
  t.propagateAttributes({ userId: "u1", sessionId: "s1", tags: ["x"], metadata: { k: "v" } }, () =>
    processor.client.startActiveObservation("outer", () =>
      tracer().startActiveSpan("middle", (span) => {
        processor.client.startObservation("inner").end();
        span.end();
      }),
    ),
  );
  const { outer, middle, inner } = await sent();
  assert.equal(middle.parent, outer.span_id);
  assert.equal(inner.parent, middle.span_id);
  assert.equal(new Set([outer.trace_id, middle.trace_id, inner.trace_id]).size, 1);
  assert.deepEqual([outer.is_app_root, Boolean(middle.is_app_root), Boolean(inner.is_app_root)], [true, false, false]);
  assert.equal(middle.attributes["user.id"], "u1");
  assert.equal(middle.attributes["session.id"], "s1");
  assert.deepEqual(middle.attributes["langfuse.trace.tags"], ["x"]);
  assert.equal(middle.attributes["langfuse.trace.metadata.k"], "v");
});

test("what is no language model's work stays out, and is no parent at the server", async () => {
  const { processor, tracer, sent } = processed();
  tracer("http").startActiveSpan("GET /", (request) => {
    processor.client.startObservation("first").end();
    tracer("http").startActiveSpan("gen", { attributes: { "gen_ai.operation.name": "chat" } }, (span) => span.end());
    request.end();
  });
  const found = await sent();
  assert.deepEqual(Object.keys(found).sort(), ["first", "gen"]);
  assert.equal(found.first.trace_id, found.gen.trace_id);
  assert.equal(found.first.is_app_root, true);
  assert.equal(found.gen.is_app_root, true);
});

test("the predicates say what those of @langfuse/otel say", () => {
  const names = ["", "ai", "ai.x", "ai-x", "openinference", "openinferences", "openinference.instrumentation.openai", "langfuse-sdk", "langfuse-sdk.x", "http", "vllm", "tracespool",
    ...theirs.KNOWN_LLM_INSTRUMENTATION_SCOPE_PREFIXES];
  assert.deepEqual([...ours.KNOWN_LLM_INSTRUMENTATION_SCOPE_PREFIXES], [...theirs.KNOWN_LLM_INSTRUMENTATION_SCOPE_PREFIXES]);
  for (const name of names) {
    for (const attributes of [{}, { "gen_ai.system": "x" }, { gen_ai: 1 }, { "x.gen_ai.y": 1 }]) {
      const span = { instrumentationScope: { name }, attributes };
      for (const predicate of ["isDefaultExportSpan", "isGenAISpan", "isKnownLLMInstrumentor", "isLangfuseSpan"]) {
        assert.equal(ours[predicate](span), theirs[predicate](span), `${predicate} of ${name} ${JSON.stringify(attributes)}`);
      }
    }
  }
});

test("a filter decides; one that throws drops the span, which is counted", async () => {
  const asked = [];
  const { tracer, sent, key } = processed({
    shouldExportSpan: ({ otelSpan }) => {
      asked.push(otelSpan.name);
      if (otelSpan.name === "broken") {
        throw new Error("no");
      }
      return otelSpan.name === "kept";
    },
  });
  for (const name of ["kept", "left", "broken"]) {
    tracer("any").startSpan(name).end();
  }
  assert.deepEqual(Object.keys(await sent()), ["kept"]);
  assert.deepEqual(asked, ["kept", "kept", "left", "left", "broken", "broken"]);
  const { destinations } = t.stats();
  const mine = destinations.find((each) => each.public_key === key);
  assert.equal(mine.observations.dropped.encode_failed, 1);
});

test("a mask sees every text but names, and the span stays as it is", async () => {
  const seen = [];
  const { tracer, sent, provider } = processed({
    mask: ({ data }) => {
      seen.push(data);
      return typeof data === "string" ? data.replaceAll("secret", "***") : "***";
    },
  });
  const span = provider.getTracer("ai").startSpan("call", {
    attributes: { "gen_ai.request.model": "secret-model", "gen_ai.input.messages": "secret in", "ai.prompt": "the secret", list: ["secret"], count: 3 },
    links: [{ context: { traceId: "a".repeat(32), spanId: "b".repeat(16), traceFlags: 1 }, attributes: { note: "secret link" } }],
  });
  span.addEvent("e", { body: "secret event" });
  span.setStatus({ code: 2, message: "secret status" });
  span.end();
  t.propagateAttributes({ metadata: { note: "secret note", other: 1 } }, () => provider.getTracer("ai").startSpan("inside").end());
  const { call, inside } = await sent();
  assert.equal(inside.attributes["langfuse.trace.metadata.note"], undefined, "the mask gives text for metadata as a whole");
  assert.ok(!JSON.stringify(inside).includes("secret"));
  const text = JSON.stringify(call);
  assert.ok(!text.replaceAll("secret-model", "").includes("secret"), text);
  assert.equal(call.attributes["gen_ai.input.messages"], "*** in");
  assert.equal(call.attributes["gen_ai.request.model"], "secret-model");
  assert.equal(call.attributes.list, "***");
  assert.equal(call.attributes.count, 3);
  assert.equal(span.attributes["gen_ai.input.messages"], "secret in");
  assert.equal(span.events[0].attributes.body, "secret event");
  assert.ok(tracer && seen.includes("secret status"));
});

test("a mask may answer later; a flush waits for it; one that fails leaves no content", async () => {
  const { sent, provider, key } = processed({
    mask: async ({ data }) => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      if (data === "bad") {
        throw new Error("no");
      }
      return `masked ${data}`;
    },
  });
  provider.getTracer("ai").startSpan("later", { attributes: { a: "good", b: "bad" } }).end();
  const { later } = await sent();
  assert.equal(later.attributes.a, "masked good");
  assert.equal(later.attributes.b, "<fully masked due to failed mask function>");
  const mine = t.stats().destinations.find((each) => each.public_key === key);
  assert.equal(mine.observations.stripped ?? mine.observations.mask_failed, 1, JSON.stringify(mine.observations));
});

test("media in attributes become references", async () => {
  const { sent, provider, key } = processed();
  const content = Buffer.from("x".repeat(300)).toString("base64");
  provider.getTracer("ai").startSpan("see", {
    attributes: {
      "ai.prompt.messages": JSON.stringify([{ role: "user", content: [{ type: "file", mediaType: "image/png", data: content }] }]),
      "langfuse.observation.input": `look: data:image/jpeg;base64,${content} there`,
    },
  }).end();
  const { see } = await sent();
  assert.match(see.attributes["ai.prompt.messages"], /@@@langfuseMedia:type=image\/png\|id=/);
  assert.match(see.attributes["langfuse.observation.input"] ?? see.input, /^look: @@@langfuseMedia:type=image\/jpeg\|id=[^@]+@@@ there$/);
  assert.ok(key);
});

test("spans of one client go to no other, and sampling is by trace id", async () => {
  const [one, two] = [processed(), processed()];
  one.tracer().startSpan("of-one").end();
  two.tracer().startSpan("of-two").end();
  assert.deepEqual(Object.keys(await one.sent()), ["of-one"]);
  assert.deepEqual(Object.keys(await two.sent()), ["of-two"]);
  const off = processed({}, { sampler: new AlwaysOffSampler() });
  off.tracer().startSpan("never").end();
  assert.deepEqual(await off.sent(), {});
  const key = freshKey();
  const client = new t.Client({ publicKey: key, secretKey: "sk-very-secret", baseUrl: server.url, sampleRate: 0 });
  const provider = new NodeTracerProvider({ spanProcessors: [new ours.TracespoolSpanProcessor(client)] });
  provider.getTracer("ai").startSpan("sampled out").end();
  await client.flush();
  assert.deepEqual(await server.list(key), []);
});

test("a client of another copy is taken, and what is none is told", async () => {
  const key = freshKey();
  const { Client } = createRequire(import.meta.url)("tracespool");
  const processor = new ours.TracespoolSpanProcessor(new Client({ publicKey: key, secretKey: "sk-very-secret", baseUrl: server.url }));
  new NodeTracerProvider({ spanProcessors: [processor] }).getTracer("ai").startSpan("of another copy").end();
  await processor.forceFlush();
  assert.equal((await server.list(key)).length, 1);
  const told = await lines(() => new ours.TracespoolSpanProcessor({ client: {}, publicKey: key, secretKey: "sk-very-secret", baseUrl: server.url, shouldExportSpan: 3 }));
  assert.equal(told.length, 2, told.join("\n"));
});

test("baggage that says where the root is, and a remote parent", async () => {
  const { tracer, sent } = processed();
  const remote = { traceId: "c".repeat(32), spanId: "d".repeat(16), traceFlags: TraceFlags.SAMPLED, isRemote: true };
  tracer().startSpan("below remote", {}, trace.setSpanContext(ROOT_CONTEXT, remote)).end();
  const found = (await sent())["below remote"];
  assert.equal(found.trace_id, remote.traceId);
  assert.equal(found.parent, remote.spanId);
  assert.equal(found.is_app_root, true);
});

test("an exporter gets masked copies", async () => {
  const memory = new InMemorySpanExporter();
  const processor = new ours.LangfuseSpanProcessor({ exporter: memory, environment: "e1", mask: ({ data }) => (typeof data === "string" ? `*${data}` : data) });
  const provider = new NodeTracerProvider({ spanProcessors: [processor] });
  t.propagateAttributes({ userId: "u1", tags: ["a", "b"], metadata: { flag: true, n: 4 } }, () => {
    provider.getTracer("ai").startSpan("copied", { attributes: { a: "x" } }).end();
  });
  await provider.forceFlush();
  const [span] = memory.getFinishedSpans();
  assert.equal(span.name, "copied");
  assert.equal(span.attributes.a, "*x");
  assert.equal(span.attributes["user.id"], "u1");
  assert.deepEqual(span.attributes["langfuse.trace.tags"], ["a", "b"]);
  assert.equal(span.attributes["langfuse.trace.metadata.n"], 4);
  assert.equal(span.attributes["langfuse.trace.metadata.flag"], true);
  assert.equal(span.spanContext().traceId.length, 32);
  await provider.shutdown();
});

test("a flush of a provider never rejects, whatever the server does", async () => {
  const key = freshKey();
  const processor = new ours.TracespoolSpanProcessor({ publicKey: key, secretKey: "sk", baseUrl: "http://127.0.0.1:9", timeout: 0.2 });
  const provider = new NodeTracerProvider({ spanProcessors: [processor] });
  provider.getTracer("ai").startSpan("lost").end();
  const told = await lines(async () => {
    await processor.forceFlush();
    await provider.shutdown();
  });
  assert.ok(told.length <= 2, told.join("\n"));
});

test("a burst in one tick: what is stored and what is counted as dropped are all of it", async () => {
  const { tracer, processor, key } = processed();
  const told = await lines(async () => {
    const text = "x".repeat(1000);
    for (let number = 0; number < 30_000; number += 1) {
      tracer().startSpan("burst", { attributes: { number, text } }).end();
    }
    await processor.client.flush({ timeout: 20_000 });
  });
  const { observations } = t.stats().destinations.find((each) => each.public_key === key);
  const dropped = Object.values(observations.dropped).reduce((sum, count) => sum + count, 0);
  const stored = await server.waitFor(key, 30_000 - dropped);
  assert.equal(stored + dropped, 30_000, JSON.stringify(observations));
  assert.ok(stored >= 10_000, `${stored}`);
  assert.equal(told.length > 0, dropped > 0, told.join());
});

test("long texts arrive whole, and too long ones cut with a mark", async () => {
  const { tracer, sent } = processed();
  for (const [name, size] of [["long", 200_000], ["too long", 12_000_000]]) {
    tracer().startSpan(name, { attributes: { text: "é".repeat(size / 2), after: "kept" } }).end();
  }
  const found = await sent();
  assert.equal(found.long.attributes.text, "é".repeat(100_000));
  const cut = found["too long"].attributes;
  assert.match(cut.text.slice(-60), /é\[truncated \d+ bytes\]$/);
  assert.ok(Buffer.byteLength(cut.text) < 9_000_000);
  assert.equal(cut.after, "kept");
});

test("spans of the older SDK, and what is no span", async () => {
  const { processor, sent, key } = processed();
  const ids = { traceId: "1".repeat(32), spanId: "2".repeat(16), traceFlags: 1 };
  const old = {
    name: "old",
    kind: 0,
    spanContext: () => ids,
    parentSpanId: "3".repeat(16),
    startTime: [1_700_000_000, 1],
    endTime: [1_700_000_001, 2],
    status: { code: 0 },
    attributes: { bytes: new Uint8Array([1, 2, 3]), map: { a: [1, { b: "c" }] }, mixed: ["a", 1, null, true], huge: 1e300, odd: Number.NaN },
    events: [],
    links: [],
    resource: { attributes: { "service.name": "old-shop" } },
    instrumentationLibrary: { name: "ai", version: "4" },
  };
  processor.onStart(old);
  processor.onEnd(old);
  const told = await lines(async () => {
    for (const nothing of [undefined, null, 3, {}, { spanContext: () => ({}) }, { ...old, startTime: "x" }]) {
      processor.onStart(nothing);
      processor.onEnd(nothing);
    }
  });
  const found = (await sent()).old;
  assert.equal(found.parent, old.parentSpanId);
  assert.deepEqual([found.scope.name, found.scope.version], ["ai", "4"]);
  const { attributes } = found;
  assert.deepEqual([attributes.bytes, attributes.map, attributes.mixed, attributes.huge], ["AQID", '{"a":[1,{"b":"c"}]}', ["a", 1, true], 1e300]);
  assert.ok(told.length > 0 && told.length < 8, told.join("\n"));
  const mine = t.stats().destinations.find((each) => each.public_key === key);
  assert.equal(mine.observations.dropped.encode_failed, 5, "one of them is nothing that is sent");
});

test("spans that never end are forgotten", async () => {
  const { tracer, sent } = processed();
  for (let number = 0; number < 20_000; number += 1) {
    tracer().startSpan("open");
  }
  tracer().startSpan("last").end();
  assert.deepEqual(Object.keys(await sent()), ["last"]);
});

const usage = { inputTokens: { total: 3, noCache: 3, cacheRead: 0, cacheWrite: 0 }, outputTokens: { total: 10, text: 10, reasoning: 0 } };

test("the Vercel AI SDK: a tool, two steps, inside an observation", async () => {
  const { processor, provider, sent } = processed();
  let step = 0;
  const model = new MockLanguageModelV3({
    doGenerate: async () => {
      step += 1;
      const content =
        step === 1
          ? [{ type: "tool-call", toolCallId: "c1", toolName: "weather", input: '{"city":"Rome"}' }]
          : [{ type: "text", text: "It is sunny." }];
      return { content, finishReason: { unified: step === 1 ? "tool-calls" : "stop" }, usage, warnings: [] };
    },
  });
  await processor.client.startActiveObservation("agent", async () => {
    const answer = await generateText({
      model,
      prompt: "How is the weather in Rome?",
      tools: { weather: tool({ inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => `sunny in ${city}` }) },
      stopWhen: stepCountIs(3),
      experimental_telemetry: { isEnabled: true, tracer: provider.getTracer("ai"), functionId: "f1", metadata: { m: 1 } },
    });
    assert.equal(answer.text, "It is sunny.");
  });
  const rows = await sent().then(() => server.list(processor.client.publicKey));
  const names = rows.map((row) => row.name).sort();
  assert.deepEqual(names, ["agent", "ai.generateText", "ai.generateText.doGenerate", "ai.generateText.doGenerate", "weather"].sort(), names.join());
  const by = Object.fromEntries(rows.map((row) => [row.span_id, row]));
  const root = rows.find((row) => row.name === "ai.generateText");
  assert.equal(by[root.parent].name, "agent");
  for (const row of rows.filter((each) => each.name !== "agent" && each !== root)) {
    assert.equal(row.parent, root.span_id, row.name);
  }
  const call = rows.find((row) => row.name === "weather");
  assert.match(JSON.stringify(call.attributes), /sunny in Rome/);
});

test("the Vercel AI SDK: a stream", async () => {
  const { processor, provider, sent } = processed();
  const model = new MockLanguageModelV3({
    doStream: async () => ({
      stream: simulateReadableStream({
        chunks: [
          { type: "text-start", id: "1" },
          { type: "text-delta", id: "1", delta: "Hello, " },
          { type: "text-delta", id: "1", delta: "world" },
          { type: "text-end", id: "1" },
          { type: "finish", finishReason: { unified: "stop" }, usage },
        ],
      }),
    }),
  });
  const result = streamText({ model, prompt: "Say hello", experimental_telemetry: { isEnabled: true, tracer: provider.getTracer("ai") } });
  let text = "";
  for await (const part of result.textStream) {
    text += part;
  }
  assert.equal(text, "Hello, world");
  await new Promise((resolve) => setTimeout(resolve, 50));
  const found = await sent();
  assert.deepEqual(Object.keys(found).sort(), ["ai.streamText", "ai.streamText.doStream"]);
  assert.match(JSON.stringify(found["ai.streamText"].attributes), /Hello, world/);
  assert.equal(found["ai.streamText"].is_app_root, true);
  assert.ok(processor);
});
