// The same programs with this package and with Langfuse's: every attribute of every observation is the same, or there is a reason.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { collector } from "../collector.mjs";
import { openaiServer } from "./openai_server.mjs";
import { REASONS } from "./twins/reasons.mjs";

let store;
let server;
before(async () => {
  store = await collector();
  server = await openaiServer();
});
after(() => server.close());

/** What a program has stored with a library, by the names from the root down. */
async function stored(program, library) {
  const key = `pk-${program}-${library}`;
  const path = fileURLToPath(new URL(`./twins/${program}.mjs`, import.meta.url));
  const env = { ...process.env, LANGFUSE_BASE_URL: store.url, LANGFUSE_PUBLIC_KEY: key, LANGFUSE_SECRET_KEY: "sk-x" };
  const child = spawn(process.execPath, [path, library, server.url], { env, stdio: ["ignore", "inherit", "inherit"] });
  const killer = setTimeout(() => child.kill("SIGKILL"), 60_000);
  const code = await new Promise((resolve) => child.once("close", resolve));
  clearTimeout(killer);
  assert.equal(code, 0, `${program} with ${library}`);
  const rows = (await store.list(key)).sort((one, other) => one.start_ns - other.start_ns);
  const known = new Map(rows.map((row) => [row.span_id, row]));
  const names = (row) => (row === undefined ? [] : [...names(known.get(row.parent)), row.name]);
  const paths = new Map();
  for (const row of rows) {
    const name = names(row).join("/");
    let path = name;
    for (let count = 2; paths.has(path); count += 1) {
      path = `${name}#${count}`;
    }
    paths.set(path, row);
  }
  return paths;
}

/** An attribute without what no two runs share: the order of keys, times, ids. */
function normal(key, value) {
  if (key.endsWith("completion_start_time")) {
    return value === undefined ? value : "some time";
  }
  const sorted = (each) =>
    Array.isArray(each)
      ? each.map(sorted)
      : typeof each === "object" && each !== null
        ? Object.fromEntries(Object.keys(each).sort().map((name) => [name, sorted(each[name])]))
        : each;
  try {
    return JSON.stringify(typeof value === "string" && /^[[{]/.test(value) ? sorted(JSON.parse(value)) : value);
  } catch {
    return value;
  }
}

for (const program of ["openai", "langchain"]) {
  test(`${program}: every difference has a reason, and every reason a difference`, { timeout: 120_000 }, async () => {
    const [theirs, ours] = [await stored(program, "langfuse"), await stored(program, "tracespool")];
    assert.ok(theirs.size > 15 && ours.size > 15, `${theirs.size} ${ours.size}`);
    const differences = [];
    for (const path of new Set([...theirs.keys(), ...ours.keys()])) {
      const [one, other] = [theirs.get(path), ours.get(path)];
      if (one === undefined || other === undefined) {
        differences.push([path, one === undefined ? "only tracespool" : "only langfuse"]);
        continue;
      }
      for (const key of new Set([...Object.keys(one.attributes), ...Object.keys(other.attributes)])) {
        const [before, after] = [one.attributes[key], other.attributes[key]];
        if (normal(key, before) !== normal(key, after)) {
          differences.push([path, key, before, after]);
        }
      }
    }
    const used = new Set();
    const unexplained = differences.filter(([path, key]) => {
      const reasons = REASONS.filter((reason) => reason.program === program && reason.path.test(path) && reason.attribute.test(key));
      reasons.forEach((reason) => used.add(reason));
      return reasons.length === 0;
    });
    assert.deepEqual(unexplained, []);
    const unused = REASONS.filter((reason) => reason.program === program && !used.has(reason)).map(({ path, attribute }) => `${path} ${attribute}`);
    assert.deepEqual(unused, []);
  });
}
