// A page of an application: what it does stands in its address, what came of it goes to `/said`.
import { Client, startObservation } from "tracespool";

const asked = new URLSearchParams(location.search);
const baseUrl = asked.get("server") ?? location.origin;
const publicKey = asked.get("key");
const TRACE = "0af7651916cd43dd8448eb211c80319c";

const errors = [];
console.error = (line) => errors.push(line);
const say = (said) => fetch("/said", { method: "POST", body: JSON.stringify(said) });
const open = () => new Client({ publicKey, baseUrl });

function score(client, count, comment) {
  for (let number = 0; number < count; number += 1) {
    client.score({ name: `thumbs-${number}`, value: 1, traceId: TRACE, comment });
  }
}

const acts = {
  async secret() {
    const secret = new Client({ publicKey, secretKey: "sk-very-secret", baseUrl });
    new Client({ publicKey, secretKey: "sk-very-secret", baseUrl });
    secret.startObservation("not recorded").end();
    secret.score({ name: "not recorded", value: 1, traceId: TRACE });
    await say({ errors, enabled: secret.enabled, report: await secret.flush() });
  },
  async score() {
    const client = open();
    startObservation("not recorded", {}, { client }).end();
    score(client, Number(asked.get("count") ?? 1));
    const began = performance.now();
    const report = await client.flush({ timeout: Number(asked.get("timeout") ?? 5000) });
    await say({ errors, report, took: performance.now() - began });
  },
  async keys() {
    const count = Number(asked.get("count"));
    const clients = Array.from({ length: count }, (_, at) => new Client({ publicKey: `${publicKey}-${at}`, baseUrl }));
    clients.forEach((client) => score(client, 1));
    const reports = await Promise.all(clients.map((client) => client.flush({ timeout: 30_000 })));
    await say({ errors, delivered: reports.reduce((sum, report) => sum + report.delivered, 0) });
  },
  /** Nothing is awaited: the page is gone before any answer. */
  navigate() {
    score(open(), Number(asked.get("count") ?? 1), "x".repeat(Number(asked.get("size") ?? 10)));
    location.href = "/elsewhere";
  },
  /** The same, some time after the page has been shown. */
  close() {
    addEventListener("load", () => {
      score(open(), 1);
      window.close();
    });
  },
  popup() {
    const child = new URL(location.href);
    child.searchParams.set("do", "close");
    window.open(child);
  },
};
acts[asked.get("do")]();
