"""Worker threads, clusters and child processes: one export thread for a process, and nothing of anybody lost."""

from __future__ import annotations

import json

from program import environment

EXPORT_THREADS = """
import { readFileSync, readdirSync } from "node:fs";

/** Threads that are not Node's own, by name. */
export function foreign() {
  const names = readdirSync("/proc/self/task").map((task) => readFileSync(`/proc/self/task/${task}/comm`, "utf8").trim());
  return names.filter((name) => name.startsWith("tracespool"));
}
"""

WORKER = """
import { parentPort, workerData } from "node:worker_threads";
import { Client } from "tracespool";

const client = new Client();
for (let turn = 0; turn < workerData.count; turn += 1) {
  client.startActiveObservation(`worker-${workerData.number}-${turn}`, (step) => step.update({ input: { turn } }));
}
parentPort.postMessage("traced");
if (workerData.stay) setInterval(() => {}, 1000);
if (workerData.exit) process.exit(0);
if (workerData.break) throw new Error("the worker broke");
"""


def test_workers_share_one_export_thread(receiver, script):
    ended = script(
        """
        import { once } from "node:events";
        import { Worker } from "node:worker_threads";
        import { Client } from "tracespool";
        import { foreign } from "./threads.mjs";

        const client = new Client();
        client.startObservation("main").end();
        const start = (number) => new Worker(new URL("./worker.mjs", import.meta.url), { workerData: { number, count: 50, stay: true } });
        const workers = Array.from({ length: 4 }, (_, number) => start(number));
        await Promise.all(workers.map((worker) => once(worker, "message")));
        const during = foreign();
        await Promise.all(workers.map((worker) => worker.terminate()));
        const after = foreign();
        client.startObservation("main again").end();
        console.log(JSON.stringify({ during, after }));
        """,
        worker_mjs=WORKER,
        threads_mjs=EXPORT_THREADS,
    ).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert len(told["during"]) == 1 and len(told["after"]) == 1, told
    assert receiver.whole()[:1] == (4 * 50 + 2,)


def test_a_worker_alone_loses_nothing_however_it_ends(receiver, script):
    """The main thread never imports the package: only workers come and go."""
    ended = script(
        """
        import { Worker } from "node:worker_threads";

        const ways = [{}, { exit: true }, { break: true }, { stay: true }];
        for (const [number, way] of ways.entries()) {
          const worker = new Worker(new URL("./worker.mjs", import.meta.url), { workerData: { number, count: 25, ...way } });
          worker.on("error", () => {});
          // Not `events.once`: it rejects where the worker breaks, which may be before anybody looks.
          const gone = new Promise((done) => worker.once("exit", done));
          await Promise.race([gone, new Promise((done) => worker.once("message", done))]);
          if (way.stay) await worker.terminate();
          await gone;
        }
        console.log("done");
        """,
        worker_mjs=WORKER,
    ).run(environment(receiver.url))
    assert (ended.code, ended.out) == (0, "done\n"), ended.err
    assert receiver.whole()[0] == 4 * 25


def test_terminated_at_any_moment_without_a_crash(receiver, script):
    ended = script(
        """
        import { once } from "node:events";
        import { setTimeout as sleep } from "node:timers/promises";
        import { Worker } from "node:worker_threads";

        for (let turn = 0; turn < 12; turn += 1) {
          const worker = new Worker(new URL("./worker.mjs", import.meta.url));
          if (turn % 3 === 0) await once(worker, "online");
          else await once(worker, "message");
          await sleep(turn);
          await worker.terminate();
        }
        console.log("done");
        """,
        worker_mjs="""
        import { parentPort } from "node:worker_threads";
        import { Client, stats } from "tracespool";

        const client = new Client();
        parentPort.postMessage("here");
        setInterval(() => {
          for (let turn = 0; turn < 20; turn += 1) client.startObservation("step", { input: { turn } }).end();
          void client.flush({ timeout: 2000 });
          stats();
        }, 0);
        """,
    ).run(environment(receiver.url), timeout=60)
    assert (ended.code, ended.out) == (0, "done\n"), ended.err
    assert receiver.whole()[0] > 0


def test_fifty_workers_one_after_another_leave_nothing_behind(receiver, script):
    ended = script(
        """
        import { once } from "node:events";
        import { readdirSync } from "node:fs";
        import { Worker } from "node:worker_threads";

        const threads = () => readdirSync("/proc/self/task").length;
        async function one(number) {
          const worker = new Worker(new URL("./worker.mjs", import.meta.url), { workerData: { number, count: 2 } });
          await once(worker, "exit");
        }
        for (let number = 0; number < 5; number += 1) await one(number);
        const before = threads();
        for (let number = 5; number < 50; number += 1) await one(number);
        console.log(JSON.stringify({ before, after: threads() }));
        """,
        worker_mjs=WORKER,
    ).run(environment(receiver.url), timeout=60)
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["after"] <= told["before"]
    assert receiver.whole()[0] == 100


def test_cluster(receiver, script):
    ended = script(
        """
        import cluster from "node:cluster";
        import { once } from "node:events";
        import { createServer } from "node:http";
        import { Client } from "tracespool";

        const client = new Client();
        if (cluster.isPrimary) {
          client.startObservation("primary").end();
          const workers = [cluster.fork(), cluster.fork()];
          const [address] = (await Promise.all(workers.map((worker) => once(worker, "listening")))).map(([found]) => found);
          const answers = await Promise.all(
            Array.from({ length: 40 }, (_, number) => fetch(`http://127.0.0.1:${address.port}/${number}`).then((answer) => answer.text())),
          );
          const ends = workers.map((worker) => once(worker, "exit"));
          for (const worker of workers) worker.send("end");
          const codes = (await Promise.all(ends)).map(([code]) => code);
          console.log(JSON.stringify({ answers: answers.length, codes }));
        } else {
          const server = createServer((request, response) => {
            client.startActiveObservation("request", (step) => {
              step.update({ input: { path: request.url, worker: process.pid } });
              response.end(String(process.pid));
            });
          });
          server.listen(0, "127.0.0.1");
          process.on("message", () => process.exit(0));
        }
        """
    ).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    assert json.loads(ended.out) == {"answers": 40, "codes": [0, 0]}
    assert receiver.whole()[0] == 41


def test_child_processes_have_pipelines_of_their_own(receiver, script):
    ended = script(
        """
        import { fork } from "node:child_process";
        import { once } from "node:events";
        import { fileURLToPath } from "node:url";
        import { Client } from "tracespool";

        const client = new Client();
        if (process.argv[2] === "child") {
          for (let turn = 0; turn < 10; turn += 1) client.startObservation("child").end();
          process.disconnect();
        } else {
          client.startObservation("before").end();
          const children = Array.from({ length: 3 }, () => fork(fileURLToPath(import.meta.url), ["child"]));
          await Promise.all(children.map((child) => once(child, "exit")));
          client.startObservation("after").end();
        }
        """
    ).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    assert receiver.whole() == (32, 0, 0, 0)
