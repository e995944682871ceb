import assert from "node:assert/strict";
import { before, test } from "node:test";
import vm from "node:vm";

import { collector } from "./collector.mjs";
import { fresh } from "./fresh.mjs";

let server;
before(async () => {
  server = await collector();
});

class Point {
  constructor() {
    this.x = 1;
    this.secret = undefined;
  }
  method() {}
}
class Empty {}
const cycle = { name: "c" };
cycle.self = cycle;
cycle.list = [cycle];
let deep = "bottom";
for (let at = 0; at < 30; at += 1) {
  deep = { d: deep };
}
const revoked = Proxy.revocable({}, {});
revoked.revoke();
const shared = { s: 1 };
const sparse = [1, , 3];

/** A value, and the JSON that it becomes. */
const TABLE = {
  "big integers": [{ small: 5n, large: 2n ** 70n }, { small: 5, large: "1180591620717411303424" }],
  cycles: [cycle, { name: "c", self: "<Object>", list: ["<Object>"] }],
  "what occurs twice is no cycle": [[shared, shared], [{ s: 1 }, { s: 1 }]],
  "a getter that throws": [{ get bad() { throw new Error("x"); }, good: 1 }, { bad: "<unreadable>", good: 1 }],
  "toJSON that throws": [{ a: new (class Odd { toJSON() { throw new Error("x"); } })() }, { a: "<Odd>" }],
  "toJSON of a plain object": [{ toJSON: () => ({ j: 1 }) }, { j: 1 }],
  symbols: [{ s: Symbol("sym"), [Symbol("key")]: 1 }, { s: "Symbol(sym)" }],
  map: [new Map([["a", 1], [2, { b: 3n }], [{}, 4]]), { a: 1, 2: { b: 3 }, "<Object>": 4 }],
  set: [new Set([1, "x"]), [1, "x"]],
  dates: [{ d: new Date(0), i: new Date(Number.NaN) }, { d: "1970-01-01T00:00:00.000Z", i: "Invalid Date" }],
  errors: [{ e: new TypeError("bad"), n: new Error("") }, { e: "TypeError: bad", n: "Error" }],
  "buffers that are text": [{ b: Buffer.from("héllo"), a: new TextEncoder().encode("x").buffer }, { b: "héllo", a: "x" }],
  "buffers that are none": [{ b: Buffer.from([0xff, 0xfe]) }, { b: "<not serializable bytes>" }],
  "typed arrays": [new Float32Array([1, 0.5]), [1, 0.5]],
  "big typed arrays": [new BigInt64Array([1n]), [1]],
  proxies: [{ p: new Proxy({ a: 1 }, {}), r: revoked.proxy }, { p: { a: 1 }, r: "<Object>" }],
  "a proxy that throws": [{ p: new Proxy({}, { ownKeys() { throw new Error("no"); }, get() { throw new Error("no"); } }) }, { p: "<Object>" }],
  functions: [{ f: () => 1, c: class C {} }, { f: "<function>", c: "<function>" }],
  "class instances": [[new Point(), new Empty()], [{ x: 1 }, "<Empty>"]],
  numbers: [[Number.NaN, Infinity, -Infinity, 1e21, -0, 1.5], ["NaN", "Infinity", "-Infinity", 1e21, 0, 1.5]],
  "undefined is left out, and null in lists": [{ u: undefined, n: null, l: [undefined] }, { n: null, l: [null] }],
  "sparse arrays": [sparse, [1, null, 3]],
  "boxed values": [[new String("s"), new Number(1), Object(5n), new Boolean(false)], ["s", 1, 5, false]],
  regular: [{ r: /a+/g, u: new URL("http://x.y/z") }, { r: "/a+/g", u: "http://x.y/z" }],
  headers: [new Headers({ a: "b" }), { a: "b" }],
  promises: [{ p: Promise.resolve(1), w: new WeakMap() }, { p: "<Promise>", w: "<WeakMap>" }],
  streams: [{ s: new ReadableStream(), r: process.stdout }, { s: "<ReadableStream>", r: "<" }],
  "null prototypes and other realms": [[Object.assign(Object.create(null), { a: 1 }), vm.runInNewContext("({ b: [1], m: new Map([[1, 2]]) })")], [{ a: 1 }, { b: [1], m: { 1: 2 } }]],
  "keys that need escaping": [{ 'k"\\\n\u001f': "v\u001f\u001f" }, { 'k"\\\n\u001f': "v\u001f\u001f" }],
  "control characters": [["\u0000\u0008\u001e", "\u2028", "tab\t"], ["\u0000\u0008\u001e", "\u2028", "tab\t"]],
  "characters of every width": [["é", "日本", "😀"], ["é", "日本", "😀"]],
};

for (const [name, [value, expected]] of Object.entries(TABLE)) {
  test(`values: ${name}`, async () => {
    const { client, sent } = fresh(server);
    client.startObservation("value", { input: value, metadata: { key: value } }).end();
    const { value: found } = await sent();
    if (name === "streams") {
      assert.match(found.input, /^\{"s":"<ReadableStream>","r":"<\w+>"\}$/);
      return;
    }
    assert.deepEqual(JSON.parse(found.input), expected);
    assert.deepEqual(JSON.parse(found.metadata.key), expected);
  });
}

test("what is deeper than 20 levels is named", async () => {
  const { client, sent } = fresh(server);
  client.startObservation("deep", { input: deep }).end();
  const { deep: found } = await sent();
  assert.equal(found.input.match(/"d"/g).length, 19);
  assert.ok(found.input.includes('"<Object>"'));
});

test("whole values: text stays as it is, scalars are JSON, nothing is nothing", async () => {
  const { client, sent } = fresh(server);
  client.startObservation("text", { input: 'a "quoted"\ntext', output: "\u001f in it" }).end();
  client.startObservation("scalar", { input: 5, output: false }).end();
  client.startObservation("nothing", { input: null, output: undefined }).end();
  client.startObservation("empty", { input: "", output: {} }).end();
  client.startObservation("other", { input: new Date(0), output: 12n }).end();
  const found = await sent();
  assert.deepEqual([found.text.input, found.text.output], ['a "quoted"\ntext', "\u001f in it"]);
  assert.deepEqual([found.scalar.input, found.scalar.output], ["5", "false"]);
  assert.deepEqual([found.nothing.input, found.nothing.output], [null, null]);
  assert.equal(found.empty.input ?? "", "");
  assert.equal(found.empty.output, "{}");
  assert.deepEqual([found.other.input, found.other.output], ["1970-01-01T00:00:00.000Z", "12"]);
});

test("metadata keeps numbers, booleans and bare text", async () => {
  const { client, sent } = fresh(server);
  const metadata = { i: 1, d: 1.5, b: true, t: "x", n: null, date: new Date(0), big: 2n ** 60n, small: 7n, nan: Number.NaN, list: [1], "k\u001fey": 1, "": 2 };
  client.startObservation("m", { metadata }).end();
  client.startObservation("list", { metadata: [1, 2] }).end();
  client.startObservation("word", { metadata: "plain" }).end();
  client.startObservation("map", { metadata: new Map([["a", 1]]) }).end();
  const { m, list, word, map } = await sent();
  assert.deepEqual(m.metadata, { i: 1, d: 1.5, b: true, t: "x", date: "1970-01-01T00:00:00.000Z", big: "1152921504606846976", small: 7, nan: "NaN", list: "[1]", "k ey": 1, "": 2 });
  assert.equal(list.attributes["langfuse.observation.metadata"], "[1,2]");
  assert.equal(word.attributes["langfuse.observation.metadata"], "plain");
  assert.deepEqual(map.metadata, { a: 1 });
});

test("lone surrogates are mended", async () => {
  const { client, sent } = fresh(server);
  client.startObservation("lone", { input: ["\ud800", "a\udc00b", "😀".slice(0, 1)], output: "x\ud800" }).end();
  const { lone } = await sent();
  assert.deepEqual(JSON.parse(lone.input), ["\ufffd", "a\ufffdb", "\ufffd"]);
  assert.equal(lone.output, "x\ufffd");
});

test("long texts arrive letter by letter, whatever letters they have, and leave nothing in the next one", async () => {
  const { client, sent } = fresh(server);
  const texts = {
    ascii: "plain ".repeat(3000),
    latin: `é${"café ".repeat(700)}`,
    wide: "漢字".repeat(5000),
    pairs: `a${"😀".repeat(3000)}`,
    lone: `${"x".repeat(5000)}\ud800y${"\udc00".repeat(100)}`,
    ends: `${"é".repeat(4000)}\ud83d`,
    after: "é".repeat(2100),
    short: "ü",
  };
  for (const [name, input] of Object.entries(texts)) client.startObservation(name, { input }).end();
  const found = await sent();
  for (const [name, input] of Object.entries(texts)) assert.ok(found[name].input === input.toWellFormed(), name);
});

/** Without printing megabytes where it is not so. */
const matches = (text, pattern) => assert.ok(pattern.test(text), `${text.slice(0, 100)} ... ${text.slice(-100)}`);

test("50 MB are cut with a mark, in bounded time", async () => {
  for (const [input, left] of [["x".repeat(50_000_000), 41_100_000], [{ text: "é".repeat(25_000_000), after: 1 }, 41_100_000], ["😀".repeat(10_000_000), 31_100_000]]) {
    const { client, sent } = fresh(server);
    const began = performance.now();
    client.startObservation("large", { input }).end();
    const took = performance.now() - began;
    const { large } = await sent();
    matches(large.input, /\[truncated \d+ bytes\]/);
    const gone = Number(/truncated (\d+) bytes/.exec(large.input)[1]);
    assert.ok(Math.abs(gone - left) < 10, `${gone}`);
    assert.ok(Buffer.byteLength(large.input) < 9_000_000);
    assert.ok(took < 3000, `${took}`);
  }
});

test("a list that is too long says how much is gone", async () => {
  const { client, sent } = fresh(server);
  client.startObservation("wide", { input: { list: Array.from({ length: 3_000_000 }, (_, at) => at) } }).end();
  matches((await sent()).wide.input, /"\[truncated \d+ items\]"\]/);
});

test("a reference to half the application costs bounded time", async () => {
  const { client, sent } = fresh(server);
  const node = (depth) => (depth === 0 ? new Point() : { a: Array.from({ length: 10 }, () => node(depth - 1)), p: new Point() });
  const graph = node(5);
  const began = performance.now();
  client.startObservation("graph", { input: graph }).end();
  const took = performance.now() - began;
  assert.ok(took < 3000, `${took}`);
  matches((await sent()).graph.input, /"<Point>"/);
});

test("a value may trace, flush and change itself while it is captured", async () => {
  const { client, sent } = fresh(server);
  const value = {
    get a() {
      client.startObservation("from a getter", { input: { b: [1] } }).end();
      void client.flush({ timeout: 0 });
      delete value.c;
      return [{ x: "y" }];
    },
    c: 1,
    d: "kept",
  };
  client.startObservation("outer", { input: value }).end();
  const found = await sent();
  assert.deepEqual(JSON.parse(found.outer.input), { a: [{ x: "y" }], d: "kept" });
  assert.equal(found["from a getter"].input, '{"b":[1]}');
});

test("random values are what JSON says of them", async () => {
  const { client, key, sent } = fresh(server);
  let state = 7;
  const below = (limit) => (state = (state * 1103515245 + 12345) & 0x7fffffff) % (limit * 256) >> 8;
  const pieces = ["a", '"', "\\", "\n", "\u001f", "\u001e", "é", "日", "😀", "\u2028", "{", "}", "<", "\u0000", "[", "'", "!"];
  const word = () => Array.from({ length: below(12) }, () => pieces[below(pieces.length)]).join("");
  const value = (depth) => {
    switch (below(depth > 4 ? 5 : 8)) {
      case 0:
        return word();
      case 1:
        return below(1e6) - 5e5;
      case 2:
        return below(1000) / 7;
      case 3:
        return below(2) === 0;
      case 4:
        return null;
      case 5:
        return Array.from({ length: below(5) }, () => value(depth + 1));
      default:
        return Object.fromEntries(Array.from({ length: below(5) }, () => [word(), value(depth + 1)]));
    }
  };
  const said = new Map();
  for (let at = 0; at < 800; at += 1) {
    const one = { input: [value(0)], output: `${word()}x`, metadata: { k: [value(2)] } };
    said.set(`n${at}`, JSON.parse(JSON.stringify(one)));
    client.startObservation(`n${at}`, { ...one, statusMessage: one.output }).end();
  }
  await sent();
  const rows = await server.list(key);
  assert.equal(rows.length, 800);
  for (const row of rows) {
    const { input, output, metadata } = said.get(row.name);
    assert.deepEqual([JSON.parse(row.input), row.output, JSON.parse(row.metadata.k)], [input, output, metadata.k]);
  }
});
