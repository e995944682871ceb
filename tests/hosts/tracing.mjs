/** What the services of these tests share: a client for the keys of each request, and what the process is made of. */
import { readFileSync, readdirSync } from "node:fs";
import { Client, cleanupAllClients, propagateAttributes, startActiveObservation, stats } from "tracespool";
import { answer } from "../../examples/express_app/agent.mjs";

/** A header of a request, whatever kind of headers the framework has. */
const header = (headers, name) => (typeof headers.get === "function" ? headers.get(name) : headers[name]);

function clientOf(headers) {
  return new Client({ publicKey: header(headers, "x-public-key"), secretKey: header(headers, "x-secret-key") });
}

/** Answers a question: four observations and two scores. */
export function ask(headers, text) {
  const client = clientOf(headers);
  const tracing = {
    propagateAttributes,
    startActiveObservation: (name, body, options) => client.startActiveObservation(name, body, options),
    scoreTrace: (observation, score) => client.score.trace(observation, score),
    scoreObservation: (observation, score) => client.score.observation(observation, score),
  };
  return answer(tracing, header(headers, "x-user") ?? "anonymous", text);
}

/** A stream of words under an observation that ends with the stream, with another inside of it. */
export function stream(headers) {
  const client = clientOf(headers);
  return client.startActiveObservation(
    "stream",
    (outer) => {
      outer.update({ input: { words: 5 } });
      const encoder = new TextEncoder();
      let sent = 0;
      return new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 1));
          if (sent < 5) {
            controller.enqueue(encoder.encode(`word-${sent} `));
            sent += 1;
            return;
          }
          outer.startObservation("inside", { input: sent }, { asType: "tool" }).end();
          outer.update({ output: { words: sent } }).end();
          controller.close();
        },
        cancel() {
          outer.update({ output: { words: sent }, level: "WARNING" }).end();
        },
      });
    },
    { endOnExit: false },
  );
}

/** Fails inside of an observation. */
export function fail(headers) {
  return clientOf(headers).startActiveObservation("fails", async () => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    throw new Error("the application broke");
  });
}

/** Threads, memory after the garbage is gone, and what the library counts. */
export function look() {
  for (let turn = 0; turn < 4; turn += 1) globalThis.gc?.();
  const found = {};
  for (const task of readdirSync("/proc/self/task")) {
    const name = readFileSync(`/proc/self/task/${task}/comm`, "utf8").trim();
    found[name] = (found[name] ?? 0) + 1;
  }
  const { rss, heapUsed } = process.memoryUsage();
  return { pid: process.pid, threads: found, rss_kib: Math.round(rss / 1024), heap_kib: Math.round(heapUsed / 1024), counted: stats() };
}

export const goodbye = () => cleanupAllClients({ timeout: 3000 });

export { startActiveObservation };
