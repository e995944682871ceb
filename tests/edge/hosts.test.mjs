// The module where timers last: Node with WebAssembly forced, and a page's globals.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { collector, freshKey } from "../../bindings-node/test/collector.mjs";
import { PACKAGE, serve } from "./host.mjs";
import { scenarios } from "./scenarios.mjs";

let server;
before(async () => {
  server = await collector();
});

function run(source, { env = {}, command = process.execPath, args = ["--input-type=module", "-e"] } = {}) {
  const key = freshKey();
  const made = spawnSync(command, [...args, source], {
    cwd: PACKAGE,
    encoding: "utf8",
    timeout: 30_000,
    env: { ...process.env, LANGFUSE_PUBLIC_KEY: key, LANGFUSE_SECRET_KEY: "sk-very-secret", LANGFUSE_BASE_URL: server.url, ...env },
  });
  return { key, ...made };
}

/** Not the native module. */
const CONDITION = "--conditions=deno";
const program = join(dirname(fileURLToPath(import.meta.url)), "workers", "serve-node.mjs");

scenarios("Node", (env) => serve(process.execPath, [CONDITION, program], env));

test("a program that ends sends what is pending", async () => {
  const { key, status, stderr } = run('import * as t from "tracespool/wasm"; for (let at = 0; at < 50; at += 1) t.startObservation("o").end();');
  assert.equal(status, 0, stderr);
  assert.equal(stderr, "");
  assert.equal(await server.waitFor(key, 50), 50);
});

test("a program whose server is not there ends all the same", () => {
  const began = performance.now();
  const { status, stderr } = run('import * as t from "tracespool/wasm"; t.startObservation("o").end();', { env: { LANGFUSE_BASE_URL: "http://127.0.0.1:9" } });
  assert.equal(status, 0, stderr);
  assert.ok(performance.now() - began < 8000);
});

test("in a browser a secret key records nothing, with one line", async () => {
  const { key, stdout, stderr, status } = run(
    `Object.defineProperty(globalThis, "process", { value: undefined });
     globalThis.document = {};
     const t = await import("tracespool/wasm");
     const client = new t.Client({ publicKey: "pk", secretKey: "sk-very-secret" });
     new t.Client({ publicKey: "pk", secretKey: "sk-very-secret" });
     client.startObservation("o").end();
     console.log(client.enabled, JSON.stringify(await client.flush()));`,
  );
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^false /);
  assert.equal(stderr.match(/a secret key must not be in a browser/g)?.length, 1, stderr);
  assert.ok(!stderr.includes("sk-very-secret"));
  assert.equal((await server.counts(key)).observations, 0);
});

test("in a browser a public key scores, and nothing else", async () => {
  const { key, stderr, status } = run(
    `const { LANGFUSE_PUBLIC_KEY: publicKey, LANGFUSE_BASE_URL: baseUrl } = process.env;
     Object.defineProperty(globalThis, "process", { value: undefined });
     globalThis.document = {};
     const t = await import("tracespool/wasm");
     const client = new t.Client({ publicKey, baseUrl });
     client.startObservation("o").end();
     client.score({ name: "thumbs", value: 1, traceId: "0af7651916cd43dd8448eb211c80319c", comment: "nice" });
     const report = await client.flush();
     if (report.delivered !== 1) throw new Error(JSON.stringify(report));`,
  );
  assert.equal(status, 0, stderr);
  assert.match(stderr, /in a browser only scores are sent/);
  const [score, ...others] = await server.scores(key);
  assert.deepEqual([score.name, others.length], ["thumbs", 0]);
  assert.equal((await server.counts(key)).observations, 0);
});

test("an instance that traps becomes a client that records nothing, with one line", () => {
  const { stdout, stderr, status } = run(
    `import * as t from "tracespool/wasm";
     import { home } from "tracespool/internal";
     t.startObservation("o").end();
     home.backend.driver.core.memory.grow(1);
     const { core } = home.backend.driver;
     // Everything that the module knows is overwritten: the next call traps.
     new Uint8Array(core.memory.buffer).fill(0xff);
     for (let at = 0; at < 100; at += 1) t.startObservation("o").end();
     console.log((await t.flushAll({ timeout: 100 })) !== undefined);`,
    { args: [CONDITION, "--input-type=module", "-e"] },
  );
  assert.equal(status, 0, stderr);
  assert.equal(stdout.trim(), "true");
  assert.equal(stderr.match(/nothing is traced any more/g)?.length, 1, stderr);
});

/** Not of the binary alone, and not beside packages that need Node. */
const FILES = ["client", "mask", "media", "observations", "observe", "prompts", "propagate", "scores", "span-processor", "values"];
/** `process.exit()` lets nothing be sent that is not sent yet; Node's own build waits in a thread. */
const NODES_OWN = [/at exit what is not masked/];

test("the tests of the API pass on WebAssembly", () => {
  const files = FILES.map((name) => join("test", `${name}.test.mjs`));
  const env = { ...process.env };
  delete env.NODE_TEST_CONTEXT;
  // Also in programs that the tests start.
  env.NODE_OPTIONS = CONDITION;
  const made = spawnSync(process.execPath, ["--expose-gc", "--test", ...files], {
    cwd: PACKAGE,
    encoding: "utf8",
    env,
    timeout: 300_000,
  });
  const failed = made.stdout.split("\n").filter((line) => line.startsWith("not ok") && !NODES_OWN.some((own) => own.test(line)));
  assert.deepEqual(failed, [], made.stdout.slice(-2000));
  const passed = Number(/^# pass (\d+)/m.exec(made.stdout)?.[1]);
  assert.ok(passed > 80, `${passed} passed: ${made.stdout.slice(-500)}`);
});
