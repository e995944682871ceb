import assert from "node:assert/strict";
import { before, test } from "node:test";

import { collector, freshKey, run } from "./collector.mjs";

let server;
before(async () => {
  server = await collector();
});

const WORK = `
import { startActiveObservation, startObservation, getClient } from "tracespool";
startActiveObservation("first", (first) => { first.update({ input: "in", output: "out" }); });
startObservation("second").end();
`;

/** Each way to end, and the status that the process ends with. */
const ENDS = {
  "natural end": ["", 0],
  "natural end after a while": ["await new Promise((resolve) => setTimeout(resolve, 50));", 0],
  "process.exit()": ["process.exit(3);", 3],
  "an uncaught throw": ["throw new Error('uncaught');", 1],
  "an unhandled rejection": ["Promise.reject(new Error('unhandled')); setTimeout(() => {}, 10_000);", 1],
  "an unhandled rejection inside": ["startActiveObservation('third', async () => { throw new Error('unseen'); }); setTimeout(() => {}, 10_000);", 1],
  "a signal, where that is asked for": ["setTimeout(() => {}, 10_000); process.kill(process.pid, 'SIGTERM');", null, { TRACESPOOL_SIGTERM: "1" }],
};

for (const [name, [end, code, env]] of Object.entries(ENDS)) {
  test(`nothing is lost: ${name}`, async () => {
    const key = freshKey();
    const ended = await run(`${WORK}${end}`, { url: server.url, key, env });
    assert.equal(ended.code, code, ended.err);
    assert.equal(ended.signal, code === null ? "SIGTERM" : null);
    const found = await server.observations(key);
    assert.ok(found.first && found.second, `${Object.keys(found)} ${ended.err}`);
    assert.equal(found.first.output, "out");
    assert.ok(ended.seconds < 10, `${ended.seconds}`);
  });
}

test("from CommonJS, and both kinds of module share what is current", async () => {
  const key = freshKey();
  const ended = await run(
    `const cjs = require("tracespool");
     import("tracespool").then((esm) => {
       cjs.startActiveObservation("outer", () => esm.startObservation("inner").end());
     });`,
    { url: server.url, key, type: "cjs" },
  );
  assert.equal(ended.code, 0, ended.err);
  const { outer, inner } = await server.observations(key);
  assert.equal(inner.parent, outer.span_id);
});

test("an exit handler of the application may trace yet", async () => {
  const key = freshKey();
  const ended = await run(`${WORK}process.on("exit", () => startObservation("last").end()); setTimeout(() => process.exit(), 10);`, { url: server.url, key });
  assert.equal(ended.code, 0, ended.err);
  assert.deepEqual(Object.keys(await server.observations(key)).sort(), ["first", "last", "second"]);
});

test("TRACESPOOL_ATEXIT=0 opts out", async () => {
  const key = freshKey();
  const ended = await run(`${WORK}process.exit(0);`, { url: server.url, key, env: { TRACESPOOL_ATEXIT: "0" } });
  assert.equal(ended.code, 0);
  assert.deepEqual(await server.observations(key), {});
});

test("a server that is not there costs three seconds at most, and a line says what is lost", async () => {
  const ended = await run(WORK, { url: "http://127.0.0.1:9", key: freshKey() });
  assert.equal(ended.code, 0);
  assert.match(ended.err, /2 pending/);
  assert.ok(ended.seconds < 8, `${ended.seconds}`);
});

test("after a flush that ran out of time the end does not wait again", async () => {
  const silent = await collector("--fault", "hang");
  const source = `${WORK}
    const began = performance.now();
    const report = await getClient().flush({ timeout: 500 });
    console.log(JSON.stringify({ took: performance.now() - began, report }));
    globalThis.ends = performance.now();
    process.on("exit", () => console.log("exit", performance.now() - ends));`;
  const ended = await run(source, { url: silent.url, key: freshKey() });
  const [first, last] = ended.out.trim().split("\n");
  const { took, report } = JSON.parse(first);
  assert.ok(took >= 450 && took < 1500, `${took}`);
  assert.equal(report.complete, false);
  assert.equal(report.pending + report.unconfirmed, 2);
  assert.ok(Number(last.split(" ")[1]) < 1500, last);
});

test("workers: their data survives their end, and the main thread's goodbye is theirs", async () => {
  const key = freshKey();
  const source = `
    import { Worker, isMainThread, workerData } from "node:worker_threads";
    import { startObservation } from "tracespool";
    if (isMainThread) {
      startObservation("main").end();
      const workers = [0, 1, 2].map((at) => new Worker(new URL(import.meta.url), { workerData: at }));
      await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once("exit", resolve))));
    } else {
      startObservation("worker " + workerData).end();
      if (workerData === 1) process.exit(0);
    }`;
  const ended = await run(source, { url: server.url, key });
  assert.equal(ended.code, 0, ended.err);
  assert.deepEqual(Object.keys(await server.observations(key)).sort(), ["main", "worker 0", "worker 1", "worker 2"]);
});

test("workers alone: the last one sends what is pending, whichever way it ends", async () => {
  for (const end of ["", "process.exit(0);", "setInterval(() => {}, 1000);"]) {
    const key = freshKey();
    const source = `
      import { Worker, isMainThread, workerData } from "node:worker_threads";
      if (isMainThread) {
        for (const name of ["one", "two"]) {
          const worker = new Worker(new URL(import.meta.url), { workerData: name });
          await new Promise((resolve) => worker.once("message", resolve));
          ${end.startsWith("setInterval") ? "await worker.terminate();" : 'await new Promise((resolve) => worker.once("exit", resolve));'}
        }
      } else {
        const { startObservation } = await import("tracespool");
        const { parentPort } = await import("node:worker_threads");
        startObservation(workerData).end();
        parentPort.postMessage("traced");
        ${end}
      }`;
    const ended = await run(source, { url: server.url, key });
    assert.equal(ended.code, 0, ended.err);
    assert.deepEqual(Object.keys(await server.observations(key)).sort(), ["one", "two"], `${end} ${ended.err}`);
  }
});
