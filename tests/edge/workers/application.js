// An application as every host runs it; the path says how much it traces.
import { Client, flushAll, startActiveObservation, startObservation, stats, withTracing } from "tracespool";
import { backend } from "tracespool/internal";

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function nested(request) {
  return startActiveObservation("root", async (root) => {
    root.update({ input: { url: request.url }, output: "done" });
    await sleep(1);
    return startActiveObservation("answer", async (generation) => {
      await sleep(1);
      generation.update({ model: "gpt", input: "question", output: "answer", usageDetails: { input: 1, output: 2 } });
      startObservation("leaf").end();
      return new Response(root.traceId);
    }, { asType: "generation" });
  });
}

async function explicit() {
  const root = startObservation("root", { input: "no storage" });
  await sleep(1);
  const child = root.startObservation("answer", { output: "x" }, { asType: "generation" });
  await sleep(1);
  child.startObservation("leaf").end();
  child.end();
  root.end();
  return new Response(root.traceId);
}

async function many(count) {
  startActiveObservation("root", () => {
    for (let number = 1; number < count; number += 1) {
      startObservation(`leaf-${number}`, { input: "x".repeat(100), metadata: { number } }).end();
    }
  });
  return new Response("ok");
}

async function tenant(key, env) {
  const client = new Client({ publicKey: key, secretKey: "sk-very-secret", baseUrl: env.LANGFUSE_BASE_URL });
  client.startObservation("of a tenant", { input: key }).end();
  return new Response("ok");
}

/** How long the host is kept working for what a handler traced, where it grants `timeout` milliseconds. */
async function sending(timeout) {
  let sent;
  const handler = withTracing(() => startObservation("o").end(), { timeout, waitUntil: (promise) => (sent = promise) });
  const began = performance.now();
  handler();
  const answered = performance.now() - began;
  await sent;
  return Response.json({ answered, sent: performance.now() - began });
}

export const handler = {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    switch (pathname) {
      case "/nested":
        return nested(request);
      case "/explicit":
        return explicit();
      case "/many":
        return many(Number(searchParams.get("count")));
      case "/tenant":
        return tenant(searchParams.get("key"), env);
      case "/flush":
        return Response.json(await flushAll({ timeout: Number(searchParams.get("timeout") ?? 5000) }));
      case "/sending":
        return sending(Number(searchParams.get("timeout")));
      case "/stats":
        return Response.json({ kind: backend().kind, ...stats() });
      case "/throw":
        startObservation("before the throw").end();
        throw new Error("the application's own");
      default:
        return new Response("?", { status: 404 });
    }
  },
  async scheduled() {
    startObservation("scheduled").end();
  },
  async queue(batch) {
    for (const message of batch.messages) {
      startObservation("message", { input: message.body }).end();
    }
  },
};
