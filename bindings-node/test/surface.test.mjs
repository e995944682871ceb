// The names of the packages that ours stand for: all that they export, values, types and public members of classes.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const home = join(dirname(fileURLToPath(import.meta.url)), "..");

const PACKAGES = [
  ["@langfuse/tracing", "tracespool/tracing", "tracing"],
  ["@langfuse/otel", "tracespool/otel", "otel"],
  ["@langfuse/client", "tracespool/client", "client"],
];

/** What is missing, and why. */
const REASONS = {
  "tracespool/client ScoreManager": "a type here: it is made by a client, from a handle that applications do not have",
  "tracespool/client PromptManager.logger": "their own logger; ours is setLogger()",
};

const declaration = (name) => readFileSync(join(home, "node_modules", name, "dist", "index.d.ts"), "utf8");

/** Members that a declaration file says are not public. */
function hidden(...packages) {
  const found = packages.flatMap((name) => [...declaration(name).matchAll(/^\s+(?:private|protected) (?:static |get |readonly |abstract )*(\w+)/gm)]);
  return new Set(found.map(([, name]) => name));
}

/** Names in the export lists of a declaration file: what is said to be a type alone, and the rest. */
function declared(path) {
  const names = new Set();
  for (const [, list] of readFileSync(path, "utf8").matchAll(/^export (?:type )?\{([^}]*)\}/gms)) {
    for (const part of list.split(",")) {
      const name = part.trim().replace(/^type /, "").split(" as ").at(-1).trim();
      if (name !== "") {
        names.add(name);
      }
    }
  }
  for (const [, name] of readFileSync(path, "utf8").matchAll(/^export (?:declare )?(?:enum|class|function|const|type|interface) (\w+)/gm)) {
    names.add(name);
  }
  return names;
}

function members(of) {
  const names = new Set();
  for (let prototype = of.prototype; prototype && prototype !== Object.prototype && prototype !== Error.prototype; prototype = Object.getPrototypeOf(prototype)) {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      names.add(name);
    }
  }
  names.delete("constructor");
  return names;
}

const used = new Set();
function excused(what) {
  if (what in REASONS) {
    used.add(what);
    return true;
  }
  return false;
}

for (const [theirs, ours, entry] of PACKAGES) {
  test(`${ours} has what ${theirs} has`, async () => {
    const given = { ...(await import(theirs)) };
    const inside = hidden(theirs, "@langfuse/core");
    for (const mine of [await import(ours), require(ours)]) {
      for (const name of Object.keys(given)) {
        if (mine[name] === undefined) {
          assert.ok(excused(`${ours} ${name}`), `${name} is missing`);
          continue;
        }
        assert.equal(typeof mine[name], typeof given[name], name);
        const isClass = typeof given[name] === "function" && /^class/.test(Function.prototype.toString.call(given[name]));
        for (const member of isClass ? members(given[name]) : []) {
          const has = member in mine[name].prototype || inside.has(member) || excused(`${ours} ${name}.${member}`);
          assert.ok(has, `${name}.${member} is missing`);
        }
        if (typeof given[name] === "object" && !Array.isArray(given[name])) {
          assert.deepEqual({ ...mine[name] }, { ...given[name] }, name);
        }
      }
    }
    const mine = declared(join(home, "dist", "esm", "entries", `${entry}.d.ts`));
    for (const name of declared(join(home, "node_modules", theirs, "dist", "index.d.ts"))) {
      assert.ok(mine.has(name), `the type of ${name} is missing`);
    }
  });
}

test("a LangfuseClient has the members of theirs", async () => {
  const [theirs, ours] = [await import("@langfuse/client"), await import("tracespool/client")];
  const params = { publicKey: "pk-surface", secretKey: "sk", baseUrl: "http://127.0.0.1:9" };
  const [given, mine] = [new theirs.LangfuseClient(params), new ours.LangfuseClient(params)];
  const inside = hidden("@langfuse/client");
  for (const name of Object.keys(given).filter((each) => !inside.has(each))) {
    assert.notEqual(mine[name], undefined, `${name} is missing`);
  }
  for (const name of members(theirs.ScoreManager)) {
    assert.ok(name in mine.score || inside.has(name) || name === "logger", `score.${name} is missing`);
  }
});

test("every reason is needed", () => {
  assert.deepEqual(Object.keys(REASONS).filter((what) => !used.has(what)), []);
});
