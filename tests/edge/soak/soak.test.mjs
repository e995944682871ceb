// 100,000 requests through one isolate of workerd, beside as many that trace nothing: what grows, and whose growth it is.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Agent, get as open } from "node:http";
import { test } from "node:test";
import { collector, freshKey, pause } from "../../../bindings-node/test/collector.mjs";
import { settings } from "../scenarios.mjs";
import { workerd } from "../workerd.mjs";
import { heap } from "./inspector.mjs";

const REQUESTS = Number(process.env.REQUESTS ?? 100_000);
const SAMPLES = 10;
/** At once; as many connections. */
const CLIENTS = 16;
/** Requests after which what is pending is waited for: what a slow server leaves waiting is no growth. */
const ROUND = 1000;
const OBSERVATIONS = 3;
const MIB = 2 ** 20;

function request(port, path, agent = false) {
  return new Promise((resolve, reject) => {
    open({ host: "127.0.0.1", port, path, agent }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk));
      response.once("end", () => (response.statusCode === 200 ? resolve(text) : reject(new Error(`${response.statusCode}: ${text}`))));
    }).once("error", reject);
  });
}

class Application {
  constructor(process, traced) {
    this.process = process;
    this.traced = traced;
    this.done = 0;
  }

  get port() {
    return this.process.ports.http;
  }

  async serve(count) {
    const until = this.done + count;
    // Connections of its own: workerd closes what was idle meanwhile.
    const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
    while (this.done < until) {
      let left = Math.min(ROUND, until - this.done);
      this.done += left;
      const client = async () => {
        while (left > 0) {
          left -= 1;
          await request(this.port, "/", agent);
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, client));
      await this.rest();
    }
    agent.destroy();
  }

  /** Everything has arrived; 20 s at most. */
  async rest() {
    for (let tries = 0; this.traced && tries < 1000; tries += 1) {
      const { observations } = JSON.parse(await request(this.port, "/state"));
      if (observations.pending === 0) {
        return;
      }
      await pause(20);
    }
  }

  /** What the heap holds when nothing more of it can be collected: requests end some moments after their answers. */
  async settled() {
    let least = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < 20; tries += 1) {
      await request(this.port, "/collect");
      const used = await heap(this.process.ports.inspector);
      if (used > least - MIB / 20) {
        return Math.min(used, least);
      }
      least = used;
      await pause(100);
    }
    return least;
  }

  /** Of what is in use, in MiB: the process, JavaScript's heap, the module's memory. */
  async sample() {
    const used = await this.settled();
    const { module } = JSON.parse(await request(this.port, "/state"));
    const resident = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${this.process.pid}/status`, "utf8"))[1]) * 1024;
    return { process: resident / MIB, heap: used / MIB, module: module / MIB };
  }
}

test(`${REQUESTS} requests leave an isolate as it was`, { timeout: 1_500_000 }, async (context) => {
  const server = await collector();
  const key = freshKey();
  const start = async (traced) => {
    const bindings = { ...settings(key, server.url), TRACED: traced ? "1" : "0" };
    const process = await workerd("soak.js", { bindings, v8: ["--expose-gc"], inspected: true });
    context.after(() => process.stop());
    return new Application(process, traced);
  };
  const traced = await start(true);
  const untraced = await start(false);
  const samples = [];
  for (let number = 1; number <= SAMPLES; number += 1) {
    const sample = {};
    for (const [name, application] of Object.entries({ traced, untraced })) {
      await application.serve(REQUESTS / SAMPLES);
      sample[name] = await application.sample();
    }
    samples.push(sample);
    const show = ({ process, heap, module }) => `process ${process.toFixed(0)}, heap ${heap.toFixed(1)}, module ${module.toFixed(1)}`;
    context.diagnostic(`${(number * REQUESTS) / SAMPLES} requests (MiB): traced ${show(sample.traced)}; untraced ${show(sample.untraced)}`);
  }
  const { observations } = JSON.parse(await request(traced.port, "/state"));
  assert.deepEqual([observations.submitted, observations.delivered], [REQUESTS * OBSERVATIONS, REQUESTS * OBSERVATIONS], JSON.stringify(observations));
  // In the first half everything is compiled, V8 makes its heap as large as such a load wants it, and the largest burst passes.
  const [early, late] = [samples[SAMPLES / 2 - 1], samples.at(-1)];
  const growth = (name, what) => late[name][what] - early[name][what];
  const said = JSON.stringify([early, late]);
  assert.ok(growth("traced", "heap") <= growth("untraced", "heap") + 1, `the heap grew: ${said}`);
  assert.ok(late.traced.heap - late.untraced.heap <= 3, `the heap holds what is over: ${said}`);
  assert.ok(growth("traced", "module") <= 2 && late.traced.module <= 16, `the module's memory grew: ${said}`);
  assert.ok(growth("traced", "process") <= Math.max(0, growth("untraced", "process")) + 16, `the process grew: ${said}`);
});
