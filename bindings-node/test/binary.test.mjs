/** The binary against the types that were written for it by hand (`ts/backend.ts`): the same functions, and what they take and return. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { BINARY, host } from "../pack/platform.mjs";

const binary = createRequire(import.meta.url)(`@tracespool/${host()}/${BINARY}`);
const source = readFileSync(new URL("../ts/backend.ts", import.meta.url), "utf8").replace(/\/\*\*[\s\S]*?\*\//g, "");
const [, body] = /export interface Backend \{([\s\S]*?)\n\}/.exec(source);

/** The methods of the interface: name, types of the parameters (`?` says that one may be missing), type of the result. */
const METHODS = [...body.matchAll(/^ {2}(\w+)\(([\s\S]*?)\): ([^;]+);/gm)].map(([, name, parameters, result]) => ({
  name,
  parameters: parameters
    .split(/,(?![^<]*>)/)
    .map((text) => text.trim())
    .filter(Boolean)
    .map((text) => {
      const [, optional, types] = /^\w+(\?)?: (.+)$/s.exec(text);
      return { optional: optional === "?", types: types.split("|").map((type) => type.trim()) };
    }),
  results: result.split("|").map((type) => type.trim()),
}));

/** A value of a type that does no harm. */
const SAMPLES = { string: "{}", number: 0, boolean: false, null: null, Uint8Array: new Uint8Array(3) };
/** What is of none of the types that a parameter takes. */
const STRANGER = { deeply: { wrong: true } };

function type(value) {
  if (value === null) return "null";
  if (value === undefined) return "void";
  if (Array.isArray(value)) return value.every((element) => typeof element === "number") ? "number[]" : "unknown[]";
  return typeof value;
}

test("the interface was read", () => {
  assert.ok(METHODS.length > 20);
  assert.deepEqual(
    METHODS.find(({ name }) => name === "traceId"),
    { name: "traceId", parameters: [{ optional: true, types: ["string"] }], results: ["string"] },
  );
});

test("the binary has these functions and no others", () => {
  const there = Object.keys(binary).filter((name) => typeof binary[name] === "function");
  assert.deepEqual(there.toSorted(), METHODS.map(({ name }) => name).toSorted());
});

for (const { name, parameters, results } of METHODS) {
  const samples = parameters.map(({ types }) => SAMPLES[types[0]]);

  test(`${name} returns what its type says`, () => {
    for (const [place, { types }] of parameters.entries()) {
      for (const each of types) {
        const given = samples.with(place, SAMPLES[each]);
        assert.ok(results.includes(type(binary[name](...given))), `${name}(${given}) gave ${type(binary[name](...given))}`);
      }
    }
    assert.ok(results.includes(type(binary[name](...samples))));
  });

  test(`${name} takes nothing else`, () => {
    for (const [place, { optional }] of parameters.entries()) {
      assert.throws(() => binary[name](...samples.with(place, STRANGER)), Error, `argument ${place}`);
      if (optional) assert.ok(results.includes(type(binary[name](...samples.slice(0, place)))));
      else assert.throws(() => binary[name](...samples.slice(0, place)), `without argument ${place}`);
    }
  });
}
