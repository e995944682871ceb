import assert from "node:assert/strict";
import { before, test } from "node:test";

import * as t from "tracespool";
import { collector } from "./collector.mjs";
import { fresh, lines } from "./fresh.mjs";

let server;
before(async () => {
  server = await collector();
});

test("observations nest, and carry what they were told", async () => {
  const { client, sent } = fresh(server, { environment: "testing", release: "r1" });
  const input = { question: 'why "é" \\ \n', list: [1, 2.5, true, null, ""] };
  const result = client.startActiveObservation(
    "outer",
    (outer) => {
      outer.update({ input, metadata: { count: 5, flag: true, text: "t", deep: { a: [1] }, nothing: null } });
      input.question = "changed later";
      const answer = t.startActiveObservation(
        "inner",
        (inner) => {
          inner.update({
            input: [{ role: "user", content: "hi" }],
            output: "plain text",
            model: "gpt-4",
            modelParameters: { temperature: 0.5 },
            usageDetails: { input: 3, output: 4 },
            costDetails: { total: 0.25 },
            completionStartTime: new Date("2026-01-02T03:04:05.678Z"),
            level: "WARNING",
            statusMessage: "careful",
            version: "v7",
            prompt: { name: "p", version: 3, isFallback: false },
          });
          return 42;
        },
        { asType: "generation" },
      );
      outer.update({ output: answer, metadata: { flag: false } });
      return answer;
    },
    { asType: "agent" },
  );
  assert.equal(result, 42);
  const { outer, inner } = await sent();
  assert.equal(inner.parent, outer.span_id);
  assert.equal(inner.trace_id, outer.trace_id);
  assert.deepEqual([outer.type, inner.type], ["agent", "generation"]);
  assert.deepEqual(JSON.parse(outer.input), { question: 'why "é" \\ \n', list: [1, 2.5, true, null, ""] });
  assert.equal(outer.output, "42");
  assert.deepEqual(outer.metadata, { count: 5, flag: false, text: "t", deep: '{"a":[1]}' });
  assert.equal(outer.is_app_root, true);
  assert.equal(outer.environment, "testing");
  assert.equal(outer.release, "r1");
  assert.equal(inner.input, '[{"role":"user","content":"hi"}]');
  assert.equal(inner.output, "plain text");
  assert.equal(inner.model, "gpt-4");
  assert.equal(inner.level, "WARNING");
  assert.equal(inner.status_message, "careful");
  assert.equal(inner.version, "v7");
  assert.equal(inner.prompt_name, "p");
  assert.equal(inner.prompt_version, 3);
  assert.equal(inner.attributes["langfuse.observation.usage_details"], '{"input":3,"output":4}');
  assert.equal(inner.attributes["langfuse.observation.completion_start_time"], '"2026-01-02T03:04:05.678Z"');
});

test("startObservation does not become current; children name their parent", async () => {
  const { client, sent } = fresh(server);
  const parent = client.startObservation("parent", { input: "p" });
  const other = client.startObservation("other");
  const child = parent.startObservation("child", { model: "m" }, { asType: "generation" });
  const grandchild = child.startObservation("grandchild", {}, { asType: "tool" });
  assert.ok(child instanceof t.LangfuseGeneration && grandchild instanceof t.LangfuseTool && parent instanceof t.LangfuseSpan);
  for (const each of [grandchild, child, parent, other]) {
    each.end();
    each.end();
    each.update({ output: "too late" });
  }
  const found = await sent();
  assert.equal(Object.keys(found).length, 4);
  assert.equal(found.child.parent, parent.id);
  assert.equal(found.grandchild.parent, child.id);
  assert.equal(found.other.parent, null);
  assert.notEqual(found.other.trace_id, parent.traceId);
  assert.equal(found.child.output, null);
});

test("every type has its class, and an event is over at once", async () => {
  const { client, sent } = fresh(server);
  const types = ["span", "generation", "embedding", "agent", "tool", "chain", "retriever", "evaluator", "guardrail", "event"];
  for (const asType of types) {
    const observation = client.startObservation(asType, { input: 1 }, { asType });
    assert.equal(observation.constructor.name, `Langfuse${asType[0].toUpperCase()}${asType.slice(1)}`);
    assert.equal(observation.isRecording(), asType !== "event");
    observation.end();
  }
  const found = await sent();
  assert.deepEqual(Object.values(found).map((row) => row.type).sort(), [...types].sort());
});

test("times are those that are given, or measured with fractions of a millisecond", async () => {
  const { client, sent } = fresh(server);
  const began = Date.now();
  client.startObservation("given", {}, { startTime: new Date(began - 5000) }).end(new Date(began - 3000));
  client.startObservation("high", {}, { startTime: new Date(began - 5000) }).end([Math.floor(began / 1000), 5e8]);
  client.startObservation("backwards", {}, { startTime: new Date(began) }).end(began - 1000);
  const measured = client.startObservation("measured");
  await new Promise((resolve) => setTimeout(resolve, 20));
  measured.end();
  const found = await sent();
  assert.equal(found.given.end_ns - found.given.start_ns, 2e9);
  assert.equal(found.backwards.end_ns, found.backwards.start_ns);
  const took = (found.measured.end_ns - found.measured.start_ns) / 1e6;
  assert.ok(took >= 19 && took < 2000, `${took}`);
  assert.ok(Math.abs(found.measured.start_ns / 1e6 - began) < 1000);
});

test("async code keeps what is current; concurrent roots stay apart", async () => {
  const { client, sent } = fresh(server);
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  await Promise.all(
    ["a", "b", "c"].map((name) =>
      client.startActiveObservation(name, async (root) => {
        await pause(5);
        assert.equal(t.getActiveTraceId(), root.traceId);
        assert.equal(t.getActiveSpanId(), root.id);
        await t.startActiveObservation(`${name}1`, async () => {
          await pause(5);
          t.updateActiveObservation({ output: name });
        });
        t.startObservation(`${name}2`).end();
      }),
    ),
  );
  assert.equal(t.getActiveTraceId(), undefined);
  const found = await sent();
  for (const name of ["a", "b", "c"]) {
    assert.equal(found[`${name}1`].parent, found[name].span_id);
    assert.equal(found[`${name}2`].parent, found[name].span_id);
    assert.equal(found[`${name}1`].output, name);
  }
});

test("what is thrown is recorded and thrown on", async () => {
  const { client, sent } = fresh(server);
  const boom = new TypeError("boom");
  assert.throws(() => client.startActiveObservation("sync", () => { throw boom; }), (error) => error === boom);
  await assert.rejects(client.startActiveObservation("async", async () => { throw boom; }), (error) => error === boom);
  await assert.rejects(client.startActiveObservation("word", () => Promise.reject("a word")), (error) => error === "a word");
  const found = await sent();
  for (const name of ["sync", "async"]) {
    assert.equal(found[name].level, "ERROR");
    assert.match(found[name].status_message, /boom/);
  }
  assert.match(found.word.status_message, /a word/);
});

test("thenables keep their class and stay lazy", async () => {
  const { client, sent } = fresh(server);
  class Query {
    constructor() {
      this.runs = 0;
    }
    where() {
      return this;
    }
    then(ok, bad) {
      this.runs += 1;
      return new Promise((resolve) => setTimeout(() => resolve("rows"), 5)).then(ok, bad);
    }
  }
  const query = client.startActiveObservation("query", () => new Query());
  assert.ok(query instanceof Query);
  assert.equal(query.runs, 0);
  assert.equal(await query.where(), "rows");
  assert.equal(query.runs, 1);
  class Own extends Promise {
    withResponse() {
      return "response";
    }
  }
  const own = client.startActiveObservation("own", () => Own.resolve(7));
  assert.equal(own.withResponse(), "response");
  assert.equal(await own, 7);
  const found = await sent();
  assert.ok(found.query && found.own);
  assert.ok((found.query.end_ns - found.query.start_ns) / 1e6 >= 4);
});

test("endOnExit: false leaves the end to the application", async () => {
  const { client, sent } = fresh(server);
  const kept = client.startActiveObservation("kept", (observation) => observation, { endOnExit: false });
  assert.ok(kept.isRecording());
  kept.update({ output: "later" }).end();
  assert.equal((await sent()).kept.output, "later");
});

test("a parent may be named: of another process, of this one, or only a trace", async () => {
  const { client, sent } = fresh(server);
  const traceId = client.createTraceId("seed");
  assert.equal(traceId, await t.createTraceId("seed"));
  assert.match(traceId, /^[0-9a-f]{32}$/);
  const spanId = "00f067aa0ba902b7";
  client.startObservation("remote", {}, { parentSpanContext: { traceId, spanId, traceFlags: 1 } }).end();
  client.startObservation("header", {}, { traceparent: `00-${traceId}-${spanId}-01` }).end();
  client.startObservation("trace only", {}, { parentSpanContext: { traceId, spanId: "" } }).end();
  const local = client.startObservation("local");
  client.startObservation("below", {}, { parentSpanContext: local.otelSpan.spanContext() }).end();
  local.end();
  const told = await lines(() => client.startObservation("bad", {}, { parentSpanContext: { traceId: "xyz", spanId } }).end());
  assert.equal(told.length, 1);
  assert.match(told[0], /parentSpanContext.*"xyz".*32 hex/);
  const found = await sent();
  for (const name of ["remote", "header"]) {
    assert.equal(found[name].trace_id, traceId);
    assert.equal(found[name].parent, spanId);
    assert.equal(found[name].is_app_root, true);
  }
  assert.equal(found["trace only"].trace_id, traceId);
  assert.equal(found["trace only"].parent, null);
  assert.equal(found.below.parent, local.id);
  assert.ok(!found.below.is_app_root);
  assert.equal(found.bad.parent, null);
});

test("another destination's parent gives its trace only", async () => {
  const one = fresh(server);
  const two = fresh(server);
  one.client.startActiveObservation("one", () => {
    two.client.startActiveObservation("two", () => {
      t.startObservation("below two").end();
      one.client.startObservation("one again").end();
    });
    t.startObservation("below one").end();
    two.client.use(() => t.startObservation("used").end());
  });
  const [ones, twos] = [await one.sent(), await two.sent()];
  assert.deepEqual(Object.keys(ones).sort(), ["below one", "one", "one again"]);
  assert.deepEqual(Object.keys(twos).sort(), ["below two", "two", "used"]);
  assert.equal(twos.two.trace_id, ones.one.trace_id);
  assert.equal(twos.two.parent, null);
  assert.equal(twos.two.is_app_root, true);
  assert.equal(twos["below two"].parent, twos.two.span_id);
  assert.equal(ones["below one"].parent, ones.one.span_id);
  assert.equal(twos.used.parent, null);
  assert.equal(ones["one again"].parent, null);
});

test("sampling keeps or drops whole traces; nothing is recorded where tracing is off", async () => {
  const half = fresh(server, { sampleRate: 0.5 });
  const none = fresh(server, { sampleRate: 0 });
  const off = fresh(server, { tracingEnabled: false });
  let kept = 0;
  for (let at = 0; at < 200; at += 1) {
    half.client.startActiveObservation(`root ${at}`, (root) => {
      const child = t.startObservation(`child ${at}`);
      assert.equal(child.isRecording(), root.isRecording());
      assert.equal(child.traceId, root.traceId);
      kept += root.isRecording() ? 1 : 0;
      child.end();
    });
  }
  none.client.startActiveObservation("none", () => t.startObservation("inside").end());
  assert.equal(off.client.enabled, false);
  off.client.startActiveObservation("off", (observation) => observation.update({ input: { toJSON() { assert.fail("captured"); } } }));
  assert.ok(kept > 50 && kept < 150, `${kept}`);
  assert.equal(Object.keys(await half.sent()).length, 2 * kept);
  assert.deepEqual(await none.sent(), {});
});

test("otelSpan takes attributes by key", async () => {
  const { client, sent } = fresh(server);
  const observation = client.startObservation("span");
  const span = observation.otelSpan;
  span.setAttribute("langfuse.observation.input", "in").setAttributes({ "http.route": "/x", "langfuse.observation.metadata.k": 5, "user.id": "u9", "langfuse.trace.tags": ["a", "b"] });
  span.updateName("renamed").setStatus({ code: 2, message: "bad" });
  assert.deepEqual({ ...span.spanContext() }, { traceId: observation.traceId, spanId: observation.id, traceFlags: 1, isRemote: false });
  observation.setTraceAsPublic().end();
  const { renamed } = await sent();
  assert.equal(renamed.input, "in");
  assert.deepEqual(renamed.metadata, { "http.route": "/x", k: 5 });
  assert.equal(renamed.user, "u9");
  assert.deepEqual(renamed.tags, ["a", "b"]);
  assert.equal(renamed.level, "ERROR");
  assert.equal(renamed.status_message, "bad");
  assert.equal(renamed.public, true);
});

test("more than 128 attributes, and a field that is set in a loop", async () => {
  const { client, sent } = fresh(server);
  const observation = client.startObservation("many");
  observation.update({ metadata: Object.fromEntries(Array.from({ length: 150 }, (_, at) => [`k${at}`, at])) });
  for (let at = 0; at < 2000; at += 1) {
    observation.update({ metadata: { text: "x".repeat(500), at }, version: `${at}`, statusMessage: "s".repeat(100) });
  }
  assert.ok(observation.size() < 600_000, `${observation.size()}`);
  observation.update({ output: "last" }).end();
  const { many } = await sent();
  assert.equal(Object.keys(many.metadata).length, 152);
  assert.equal(many.metadata.k149, 149);
  assert.equal(many.metadata.at, 1999);
  assert.equal(many.version, "1999");
  assert.equal(many.output, "last");
});
