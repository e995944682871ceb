import assert from "node:assert/strict";
import { before, test } from "node:test";
import { PassThrough, Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";

import * as t from "tracespool";
import { collector, pause } from "./collector.mjs";
import { fresh } from "./fresh.mjs";

let server;
before(async () => {
  server = await collector();
});

const took = (row) => (row.end_ns - row.start_ns) / 1e6;

test("functions: arguments, results, name, length, this and own properties", async () => {
  const { client, sent } = fresh(server);
  class Service {
    #secret = 3;
    get = client.observe(function get(a, b) {
      return this.#secret + a + b;
    });
  }
  assert.equal(new Service().get(1, 2), 6);
  function add(a, b) {
    return a + b;
  }
  add.help = "adds";
  const traced = client.observe(add, { asType: "tool" });
  assert.deepEqual([traced.name, traced.length, traced.help], ["add", 2, "adds"]);
  assert.equal(traced(1, 2), 3);
  const one = client.observe((value) => value, { name: "one" });
  one({ a: 1 });
  client.observe(() => "result", { name: "quiet", captureInput: false, captureOutput: false })("argument");
  client.observe(() => undefined, { name: "nothing" })();
  const found = await sent();
  assert.equal(found.get.input, "[1,2]");
  assert.equal(found.get.output, "6");
  assert.equal(found.add.type, "tool");
  assert.equal(found.one.input, '{"a":1}');
  assert.deepEqual([found.quiet.input, found.quiet.output], [null, null]);
  assert.deepEqual([found.nothing.input, found.nothing.output], [null, null]);
});

test("a class can be constructed", async () => {
  const { client, sent } = fresh(server);
  class Base {
    constructor(x) {
      this.x = x;
    }
  }
  const Traced = client.observe(Base);
  assert.ok(new Traced(1) instanceof Base);
  class Below extends Traced {}
  assert.ok(new Below(2) instanceof Below);
  assert.equal(Object.keys(await sent()).length, 1);
});

test("async functions nest, and what is thrown is told", async () => {
  const { client, sent } = fresh(server);
  const inner = t.observe(async (x) => {
    await pause(2);
    return { x };
  }, { name: "inner" });
  const outer = client.observe(async (x) => inner(x), { name: "outer" });
  assert.deepEqual(await outer(5), { x: 5 });
  const bad = client.observe(async () => { throw new RangeError("too far"); }, { name: "bad" });
  await assert.rejects(bad(), RangeError);
  const worse = client.observe(() => { throw new RangeError("at once"); }, { name: "worse" });
  assert.throws(worse, RangeError);
  const found = await sent();
  assert.equal(found.inner.parent, found.outer.span_id);
  assert.equal(found.outer.output, '{"x":5}');
  assert.equal(found.bad.level, "ERROR");
  assert.match(found.worse.status_message, /at once/);
});

test("generators end when they are consumed, closed or fail; current only while they run", async () => {
  const { client, sent } = fresh(server);
  function* words(n) {
    for (let at = 0; at < n; at += 1) {
      const sentValue = yield `w${at} `;
      t.startObservation(`in ${n}`).end();
      if (sentValue === "stop") {
        return "stopped";
      }
    }
    return "done";
  }
  const traced = client.observe(words);
  const whole = traced(2);
  assert.equal(whole[Symbol.iterator](), whole);
  assert.equal(Object.getPrototypeOf(whole), Object.getPrototypeOf(Object.create(Object.getPrototypeOf(whole))));
  assert.deepEqual([...whole], ["w0 ", "w1 "]);
  for (const word of traced(7)) {
    assert.equal(t.getActiveSpanId(), undefined);
    assert.equal(word, "w0 ");
    break;
  }
  const driven = traced(9);
  driven.next();
  assert.deepEqual(driven.next("stop"), { value: "stopped", done: true });
  const failing = client.observe(function* failing() {
    yield { a: 1 };
    throw new Error("half way");
  });
  assert.throws(() => [...failing()], /half way/);
  const rows = (await client.flush(), await server.list(client.publicKey));
  const outputs = rows.filter((row) => row.name === "words").map((row) => row.output).sort();
  assert.deepEqual(outputs, ["w0 ", "w0 ", "w0 w1 "]);
  const found = await sent();
  assert.equal(found.failing.output, '[{"a":1}]');
  assert.match(found.failing.status_message, /half way/);
  const ids = rows.filter((row) => row.name === "words").map((row) => row.span_id);
  assert.ok(rows.filter((row) => row.name.startsWith("in ")).every((row) => ids.includes(row.parent)));
});

test("async generators last as long as they do", async () => {
  const { client, sent } = fresh(server);
  const traced = client.observe(async function* slow(n) {
    for (let at = 0; at < n; at += 1) {
      await pause(10);
      t.startObservation("inside").end();
      yield { token: `t${at}` };
    }
  });
  const seen = [];
  for await (const item of traced(3)) {
    seen.push(item.token);
    item.token = "changed later";
  }
  assert.deepEqual(seen, ["t0", "t1", "t2"]);
  const found = await sent();
  assert.ok(took(found.slow) >= 28, `${took(found.slow)}`);
  assert.equal(found.slow.output, '[{"token":"t0"},{"token":"t1"},{"token":"t2"}]');
  assert.equal(found.inside.parent, found.slow.span_id);
  const closing = client.observe(async function* closing() {
    try {
      yield "a";
      yield "b";
    } finally {
      await pause(5);
    }
  });
  for await (const item of closing()) {
    assert.equal(item, "a");
    break;
  }
  const failing = client.observe(async function* failing() {
    yield "a";
    throw new Error("late");
  });
  await assert.rejects(async () => { for await (const _ of failing()); }, /late/);
  const more = await sent();
  assert.equal(more.closing.output, "a");
  assert.equal(more.failing.output, "a");
  assert.equal(more.failing.level, "ERROR");
});

test("an async function may return a stream", async () => {
  const { client, sent } = fresh(server);
  const traced = client.observe(async () => (async function* () { yield "x"; await pause(5); yield "y"; })(), { name: "later" });
  const items = [];
  for await (const item of await traced()) {
    items.push(item);
  }
  assert.deepEqual(items, ["x", "y"]);
  assert.equal((await sent()).later.output, "xy");
});

test("an async iterable keeps its identity and methods", async () => {
  const { client, sent } = fresh(server);
  class Stream {
    controller = new AbortController();
    async *[Symbol.asyncIterator]() {
      yield { n: 1 };
      yield { n: 2 };
    }
  }
  const made = new Stream();
  const result = client.observe(() => made, { name: "iterable" })();
  assert.equal(result, made);
  assert.ok(result.controller instanceof AbortController);
  const items = [];
  for await (const item of result) {
    items.push(item.n);
  }
  assert.deepEqual(items, [1, 2]);
  assert.equal((await sent()).iterable.output, '[{"n":1},{"n":2}]');
});

test("web streams: consumed, cancelled, failed, not read ahead", async () => {
  const { client, sent } = fresh(server);
  let pulled = 0;
  const make = (fail) =>
    new ReadableStream(
      {
        async pull(controller) {
          await pause(2);
          pulled += 1;
          if (pulled % 4 === 0) {
            fail ? controller.error(new Error("broken")) : controller.close();
          } else {
            controller.enqueue(new TextEncoder().encode(`c${pulled} `));
          }
        },
      },
      { highWaterMark: 0 },
    );
  const whole = client.observe(() => make(false), { name: "whole" })();
  assert.ok(whole instanceof ReadableStream);
  await pause(20);
  assert.equal(pulled, 0);
  assert.equal(await new Response(whole).text(), "c1 c2 c3 ");
  const reader = client.observe(() => make(false), { name: "cancelled" })().getReader();
  await reader.read();
  await reader.cancel("enough");
  pulled = 0;
  const broken = client.observe(() => make(true), { name: "broken" })();
  await assert.rejects(new Response(broken).text(), /broken/);
  const found = await sent();
  assert.equal(found.whole.output, "c1 c2 c3 ");
  assert.equal(found.cancelled.output, "c5 ");
  assert.equal(found.broken.level, "ERROR");
  assert.equal(found.broken.output, "c1 c2 c3 ");
});

test("a stream of bytes stays one", async () => {
  const { client, sent } = fresh(server);
  const traced = client.observe(() => new Response("some bytes").body, { name: "bytes" })();
  const reader = traced.getReader({ mode: "byob" });
  let text = "";
  for (;;) {
    const { done, value } = await reader.read(new Uint8Array(4));
    text += new TextDecoder().decode(value ?? new Uint8Array(0));
    if (done) break;
  }
  assert.equal(text, "some bytes");
  assert.equal(await new Response(client.observe(() => new Response("whole").body, { name: "again" })()).text(), "whole");
  const found = await sent();
  assert.deepEqual([found.bytes.output, found.again.output], ["some bytes", "whole"]);
});

test("Node's streams: the same object, and nothing flows for our sake", async () => {
  const { client, sent } = fresh(server);
  const from = Readable.from(["a", "b", "c"]);
  const result = client.observe(() => from, { name: "readable" })();
  assert.equal(result, from);
  await pause(10);
  let text = "";
  for await (const chunk of result) {
    text += chunk;
  }
  assert.equal(text, "abc");
  const upper = client.observe(() => new Transform({ transform(chunk, _, done) { done(null, String(chunk).toUpperCase()); } }), { name: "transform" })();
  const sink = new PassThrough();
  sink.resume();
  await pipeline(Readable.from(["x", "y"]), upper, sink);
  const gone = client.observe(() => new PassThrough(), { name: "destroyed" })();
  gone.destroy();
  const failing = client.observe(() => new PassThrough(), { name: "failing" })();
  failing.once("error", () => undefined);
  failing.destroy(new Error("pipe"));
  await pause(10);
  const found = await sent();
  assert.equal(found.readable.output, "abc");
  assert.equal(found.transform.output, "XY");
  assert.ok(found.destroyed);
  assert.match(found.failing.status_message, /pipe/);
});
