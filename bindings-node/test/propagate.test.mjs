import assert from "node:assert/strict";
import { before, test } from "node:test";

import * as t from "tracespool";
import { collector, pause } from "./collector.mjs";
import { fresh, lines } from "./fresh.mjs";

let server;
before(async () => {
  server = await collector();
});

test("inside, everything carries the attributes; inner scopes replace text and add tags and metadata", async () => {
  const { client, sent } = fresh(server);
  const result = await client.use(() =>
    t.propagateAttributes({ userId: "u1", sessionId: "s1", tags: ["a"], metadata: { k: 1, t: "x" }, traceName: "named", version: "v1" }, async () => {
      await pause(1);
      t.startObservation("outer").end();
      t.propagateAttributes({ userId: "u2", tags: ["b", "a"], metadata: { l: true }, environment: "inner-env", prompt: { name: "p", version: 3 } }, () => {
        t.startObservation("inner", { version: "own" }).end();
      });
      t.startObservation("after").end();
      return "returned";
    }),
  );
  assert.equal(result, "returned");
  client.startObservation("outside").end();
  const { outer, inner, after, outside } = await sent();
  assert.deepEqual([outer.user, outer.session, outer.tags, outer.trace_name, outer.version], ["u1", "s1", ["a"], "named", "v1"]);
  assert.equal(outer.attributes["langfuse.trace.metadata.k"], 1);
  assert.equal(outer.attributes["langfuse.trace.metadata.t"], "x");
  assert.deepEqual([inner.user, inner.session, inner.tags, inner.environment], ["u2", "s1", ["a", "b"], "inner-env"]);
  assert.equal(inner.attributes["langfuse.trace.metadata.l"], true);
  assert.deepEqual([inner.prompt_name, inner.prompt_version, inner.version], ["p", 3, "own"]);
  assert.deepEqual([after.user, after.tags], ["u1", ["a"]]);
  assert.equal(outside.user, null);
});

test("the current observation gets them too", async () => {
  const { client, sent } = fresh(server);
  client.startActiveObservation("root", () => t.propagateAttributes({ userId: "late" }, () => t.startObservation("child").end()));
  const { root, child } = await sent();
  assert.deepEqual([root.user, child.user], ["late", "late"]);
});

test("what servers would not take is told and left out", async () => {
  const { client, sent } = fresh(server);
  const told = await lines(() =>
    client.use(() =>
      t.propagateAttributes({ userId: "x".repeat(201), sessionId: "é".repeat(200), environment: "NOT", unknown: 1, tags: "a, b", metadata: { o: { a: 1 }, n: null } }, () =>
        t.startObservation("one").end(),
      ),
    ),
  );
  assert.equal(told.length, 3, told.join("\n"));
  assert.ok(told.some((line) => line.includes("user.id")) && told.some((line) => line.includes('"unknown"')));
  const { one } = await sent();
  assert.deepEqual([one.user, one.session, one.tags, one.environment ?? null], [null, "é".repeat(200), ["a", "b"], one.environment ?? null]);
  assert.equal(one.attributes["langfuse.trace.metadata.o"], '{"a":1}');
});

test("what is thrown in a scope goes through, and nothing stays current", () => {
  assert.throws(() => t.propagateAttributes({ userId: "u" }, () => { throw new Error("inside"); }), /inside/);
});

test("headers: traceparent, and baggage only where it is asked for", async () => {
  const here = fresh(server);
  const there = fresh(server);
  assert.deepEqual(t.inject({}), {});
  let [quiet, told] = [];
  here.client.startActiveObservation("here", (observation) => {
    t.propagateAttributes({ userId: "u 1" }, () => {
      quiet = t.inject({ other: "x" });
      t.propagateAttributes({ tags: ["a,b"], metadata: { k: 5 }, asBaggage: true }, () => {
        told = t.inject({ baggage: "vendor=1" });
      });
    });
    assert.equal(quiet.traceparent, observation.traceparent());
  });
  assert.deepEqual(Object.keys(quiet), ["other", "traceparent"]);
  assert.match(told.baggage, /^vendor=1,/);
  assert.match(told.baggage, /langfuse_user_id=u%201/);
  const headers = new Headers(told);
  const parent = t.extract(headers);
  assert.equal(parent.isRemote, true);
  there.client.use(() =>
    t.propagateAttributes(t.baggageAttributes(headers), () => t.startObservation("there", {}, { parentSpanContext: parent }).end()),
  );
  const [{ here: from }, { there: to }] = [await here.sent(), await there.sent()];
  assert.equal(to.trace_id, from.trace_id);
  assert.equal(to.parent, from.span_id);
  assert.deepEqual([to.user, to.tags, to.attributes["langfuse.trace.metadata.k"]], ["u 1", ["a,b"], 5]);
  assert.equal(t.extract({ traceparent: "nonsense" }), undefined);
  assert.equal(t.extract({}), undefined);
  assert.deepEqual(t.baggageAttributes({ Baggage: "other=1,broken,langfuse_trace_id=x" }), {});
});
