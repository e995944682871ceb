import assert from "node:assert/strict";
import { before, test } from "node:test";

import * as t from "tracespool";
import { collector } from "./collector.mjs";
import { fresh, lines } from "./fresh.mjs";

let server;
before(async () => {
  server = await collector();
});

test("scores by every name", async () => {
  const { client, key } = fresh(server);
  const traceId = client.createTraceId();
  client.score({ name: "called", value: 0.5, traceId, comment: "c", metadata: { a: 1 }, id: "s-1" });
  client.score.create({ name: "created", value: "good", sessionId: "s", dataType: "CATEGORICAL", timestamp: new Date("2026-01-02T03:04:05Z") });
  const observation = client.startObservation("scored");
  client.score.observation(observation, { name: "of", value: true, dataType: "BOOLEAN" });
  client.score.trace(observation, { name: "of trace", value: 1 });
  observation.score({ name: "own", value: 2 });
  observation.scoreTrace({ name: "own trace", value: 3 });
  observation.end();
  client.startActiveObservation("active", () => {
    client.score.activeObservation({ name: "active", value: 4 });
    client.score.activeTrace({ name: "active trace", value: 5 });
    client.scoreActiveObservation({ name: "active 2", value: 6 });
    client.scoreActiveTrace({ name: "active trace 2", value: 7 });
  });
  await client.score.flush();
  const scores = Object.fromEntries((await server.scores(key)).map((score) => [score.name, score]));
  assert.equal(Object.keys(scores).length, 10, JSON.stringify(scores));
  assert.equal(scores.called.trace_id, traceId);
  assert.equal(scores.called.id, "s-1");
  assert.equal(scores.of.observation_id, observation.id);
  assert.equal(scores.of.trace_id, observation.traceId);
  assert.equal(scores["of trace"].observation_id, null);
  assert.equal(scores["own trace"].trace_id, observation.traceId);
  assert.equal(scores.created.session_id, "s");
  const active = (await server.observations(key)).active;
  for (const name of ["active", "active 2"]) {
    assert.equal(scores[name].observation_id, active.span_id);
  }
  assert.equal(scores["active trace 2"].trace_id, active.trace_id);
});

test("a score that servers would not take gets one line", async () => {
  const { client, key } = fresh(server);
  const told = await lines(() => {
    client.score({ name: "no value", traceId: client.createTraceId() });
    client.score({ value: 1, traceId: client.createTraceId() });
    client.score({ name: "extra", value: 1, traceId: client.createTraceId(), unknown: 1 });
    client.score({ name: "big", value: 10n, traceId: client.createTraceId(), dataType: "CATEGORICAL" });
    client.scoreActiveTrace({ name: "nowhere", value: 1 });
  });
  assert.equal(told.length, 4, told.join("\n"));
  await client.flush();
  assert.deepEqual((await server.scores(key)).map((score) => score.name).sort(), ["big", "extra"]);
});

test("scores of traces that are sampled out are too", async () => {
  const { client, key } = fresh(server, { sampleRate: 0 });
  client.startActiveObservation("out", () => client.scoreActiveTrace({ name: "out", value: 1 }));
  await client.flush();
  assert.deepEqual(await server.scores(key), []);
});

test("3,500 scores in one tick", async () => {
  const { client, key } = fresh(server);
  const traceId = client.createTraceId();
  for (let at = 0; at < 3500; at += 1) {
    client.score({ name: `s${at}`, value: at, traceId });
  }
  await client.flush();
  assert.equal((await server.counts(key)).scores, 3500);
  assert.ok(t.stats());
});
