// Requests of Express, Fastify and route handlers of Next's kind: real servers, real requests.
import assert from "node:assert/strict";
import { createServer, get as httpGet } from "node:http";
import { Readable } from "node:stream";
import { before, test } from "node:test";

import express from "express";
import Fastify from "fastify";
import * as t from "tracespool";
import { tracing, tracingErrors } from "tracespool/express";
import plugin from "tracespool/fastify";
import { onRequestError, register, withTracing } from "tracespool/next";
import { collector, pause, run } from "./collector.mjs";
import { fresh, lines } from "./fresh.mjs";

let server;
before(async () => {
  server = await collector();
});

async function listening(app, work) {
  const http = createServer(app);
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  try {
    return await work(`http://127.0.0.1:${http.address().port}`);
  } finally {
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  }
}

const parent = { traceId: "ab".repeat(16), spanId: "cd".repeat(8) };
const traceparent = `00-${parent.traceId}-${parent.spanId}-01`;

/** Takes the first piece of an answer and goes away. */
function firstPiece(url) {
  return new Promise((resolve, reject) => {
    const request = httpGet(url, (response) =>
      response.once("data", (piece) => {
        resolve(String(piece));
        request.destroy();
      }),
    );
    request.once("error", reject);
  });
}

function expressApp(client, options) {
  const app = express();
  app.use(tracing({ client, name: true, continueTrace: true, ...options }));
  app.use(express.json());
  app.post("/users/:id/ask", async (request, response) => {
    await pause(5);
    t.startObservation("inside", { input: request.body }, { asType: "generation" }).end();
    response.json({ ok: true });
  });
  app.get("/stream", (_request, response) => {
    async function* pieces() {
      for (let number = 0; number < 40; number += 1) {
        t.startObservation("piece").end();
        yield "x".repeat(64 * 1024);
      }
    }
    Readable.from(pieces()).pipe(response);
  });
  app.get("/slow", async (_request, response) => {
    response.write("first");
    await pause(300);
    response.end("last");
  });
  app.get("/drip", (_request, response) => {
    const timer = setInterval(() => response.write("drop"), 5);
    response.once("close", () => clearInterval(timer));
  });
  app.get("/bad", async () => {
    throw new TypeError("no such thing");
  });
  app.use(tracingErrors());
  app.use((_error, _request, response, _next) => response.status(500).json({ error: true }));
  return app;
}

test("Express: one observation for each request, with route, status, user and the sender's trace", async () => {
  const { client, sent } = fresh(server);
  const app = expressApp(client, { userId: (request) => request.headers["x-user"], sessionId: () => "s1" });
  await listening(app, async (url) => {
    const answer = await fetch(`${url}/users/7/ask?secret=1`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-user": "u7", traceparent },
      body: JSON.stringify({ question: "why" }),
    });
    assert.deepEqual(await answer.json(), { ok: true });
    await fetch(`${url}/nowhere`);
    await pause(20);
  });
  const found = await sent();
  const request = found["POST /users/:id/ask"];
  assert.equal(request.trace_id, parent.traceId);
  assert.equal(request.parent, parent.spanId);
  assert.deepEqual(request.metadata, { method: "POST", path: "/users/7/ask", status: 200 });
  assert.equal(found.inside.parent, request.span_id);
  assert.equal(found.inside.attributes["user.id"], "u7");
  assert.equal(found.inside.attributes["session.id"], "s1");
  assert.equal(found["GET /nowhere"].metadata.status, 404);
  assert.ok(!JSON.stringify(found).includes("secret"));
});

test("Express: a stream is inside to its end, its first byte is not held back, a reader that goes away ends it", async () => {
  const { client, sent, key } = fresh(server);
  await listening(expressApp(client), async (url) => {
    const whole = await (await fetch(`${url}/stream`)).text();
    assert.equal(whole.length, 40 * 64 * 1024);
    const began = performance.now();
    assert.equal(await firstPiece(`${url}/slow`), "first");
    assert.ok(performance.now() - began < 250);
    assert.equal(await firstPiece(`${url}/drip`), "drop");
    await pause(400);
  });
  const found = await sent();
  const rows = await server.list(key);
  const pieces = rows.filter((row) => row.name === "piece");
  assert.equal(pieces.length, 40);
  assert.ok(pieces.every((row) => row.parent === found["GET /stream"].span_id));
  assert.equal(found["GET /drip"].level, "WARNING");
  assert.match(found["GET /drip"].status_message, /closed before the answer/);
});

test("Express: what events of request and response run is inside", async () => {
  const { client, sent, key } = fresh(server);
  const app = express();
  app.use(tracing({ client, name: true }));
  app.post("/events", (request, response) => {
    request.on("data", () => t.startObservation("part").end());
    request.on("end", () => {
      t.startObservation("end").end();
      response.on("finish", () => t.startObservation("finish").end());
      // Written by hand, as the reader makes room for it.
      let left = 30;
      const write = () => {
        while (left > 0) {
          left -= 1;
          t.startObservation("piece").end();
          if (!response.write("x".repeat(1024 * 1024))) {
            response.once("drain", write);
            return;
          }
        }
        response.end();
      };
      write();
    });
  });
  await listening(app, async (url) => {
    const answer = await fetch(`${url}/events`, { method: "POST", body: "x".repeat(200_000) });
    const reader = answer.body.getReader();
    while (!(await reader.read()).done) {
      await pause(1);
    }
    await pause(20);
  });
  const request = (await sent())["POST /events"];
  const rows = await server.list(key);
  for (const name of ["part", "end", "piece"]) {
    const inside = rows.filter((row) => row.name === name);
    assert.ok(inside.length > 0 && inside.every((row) => row.parent === request.span_id), name);
  }
  assert.equal(rows.filter((row) => row.name === "piece").length, 30);
});

test("Express: what was thrown is recorded", async () => {
  const { client, sent } = fresh(server);
  await listening(expressApp(client), async (url) => {
    assert.equal((await fetch(`${url}/bad`)).status, 500);
    await pause(20);
  });
  const bad = (await sent())["GET /bad"];
  assert.equal(bad.level, "ERROR");
  assert.match(bad.status_message, /no such thing/);
  assert.equal(bad.metadata.status, 500);
});

test("Express: without a name a request is no observation, and a stranger's trace is not taken over", async () => {
  const { client, sent } = fresh(server);
  const app = expressApp(client, { name: undefined, continueTrace: false, tags: () => ["web"] });
  await listening(app, async (url) => {
    await fetch(`${url}/users/1/ask`, { method: "POST", headers: { traceparent } });
  });
  const found = await sent();
  assert.deepEqual(Object.keys(found), ["inside"]);
  assert.notEqual(found.inside.trace_id, parent.traceId);
  assert.deepEqual(found.inside.attributes["langfuse.trace.tags"], ["web"]);
  const trusting = fresh(server);
  await listening(expressApp(trusting.client, { name: undefined }), (url) => fetch(`${url}/users/1/ask`, { method: "POST", headers: { traceparent } }));
  assert.equal((await trusting.sent()).inside.trace_id, parent.traceId);
});

test("Express: functions that throw, and requests that are left alone", async () => {
  const { client, sent } = fresh(server);
  const broken = () => {
    throw new Error("no");
  };
  const told = await lines(() =>
    listening(expressApp(client, { name: (request) => (request.url === "/quiet" ? undefined : "named"), userId: broken, ignore: (request) => request.url === "/health" }), async (url) => {
      for (const path of ["/health", "/quiet", "/other"]) {
        await (await fetch(url + path)).text();
      }
      await pause(20);
    }),
  );
  assert.deepEqual(Object.keys(await sent()), ["named"]);
  assert.equal(told.length, 1, told.join("\n"));
});

test("Express: concurrent requests do not mix", async () => {
  const { client, key } = fresh(server);
  await listening(expressApp(client, { userId: (request) => request.headers["x-user"] }), async (url) => {
    await Promise.all(
      Array.from({ length: 100 }, (_, number) => fetch(`${url}/users/${number}/ask`, { method: "POST", headers: { "x-user": `u${number}`, "content-type": "application/json" }, body: `{"n":${number}}` })),
    );
    await pause(20);
  });
  await client.flush();
  const rows = await server.list(key);
  assert.equal(rows.length, 200);
  const by = Object.fromEntries(rows.map((row) => [row.span_id, row]));
  for (const row of rows.filter((each) => each.name === "inside")) {
    const { n } = JSON.parse(row.input);
    assert.equal(by[row.parent].metadata.path, `/users/${n}/ask`);
    assert.equal(row.attributes["user.id"], `u${n}`);
  }
});

test("Fastify: route, status, errors, streams, bodies", async () => {
  const { client, sent, key } = fresh(server);
  const app = Fastify();
  await app.register(plugin, { client, name: true, continueTrace: true, userId: (request) => request.headers["x-user"] });
  app.post("/users/:id", async (request) => {
    await pause(2);
    t.startObservation("inside", { input: request.body }).end();
    return { ok: true };
  });
  app.get("/bad", async () => {
    throw new RangeError("out of range");
  });
  app.get("/stream", (_request, reply) => {
    async function* pieces() {
      for (let number = 0; number < 20; number += 1) {
        t.startObservation("piece").end();
        yield "x".repeat(64 * 1024);
      }
    }
    reply.send(Readable.from(pieces()));
  });
  const url = await app.listen({ port: 0, host: "127.0.0.1" });
  try {
    await fetch(`${url}/users/3`, { method: "POST", headers: { "content-type": "application/json", "x-user": "u3", traceparent }, body: '{"a":1}' });
    assert.equal((await fetch(`${url}/bad`)).status, 500);
    assert.equal((await (await fetch(`${url}/stream`)).text()).length, 20 * 64 * 1024);
    await fetch(`${url}/nowhere`);
    await pause(20);
  } finally {
    await app.close();
  }
  const found = await sent();
  const request = found["POST /users/:id"];
  assert.equal(request.parent, parent.spanId);
  assert.deepEqual(request.metadata, { method: "POST", path: "/users/3", status: 200 });
  assert.equal(found.inside.parent, request.span_id);
  assert.equal(found.inside.attributes["user.id"], "u3");
  assert.equal(found["GET /bad"].level, "ERROR");
  assert.match(found["GET /bad"].status_message, /out of range/);
  const pieces = (await server.list(key)).filter((row) => row.name === "piece");
  assert.equal(pieces.length, 20);
  assert.ok(pieces.every((row) => row.parent === found["GET /stream"].span_id));
  assert.equal(found["GET /nowhere"].metadata.status, 404);
});

test("a route handler: answers, streams, errors", async () => {
  const { client, sent, key } = fresh(server);
  const options = { client, name: true, continueTrace: true };
  const encoder = new TextEncoder();
  const stream = withTracing(
    () =>
      new Response(
        new ReadableStream(
          {
            async pull(controller) {
              this.count = (this.count ?? 0) + 1;
              t.startObservation("piece").end();
              controller.enqueue(encoder.encode(`${this.count} `));
              if (this.count === 5) {
                controller.close();
              }
            },
          },
          { highWaterMark: 0 },
        ),
        { status: 201, headers: { "x-own": "1", "set-cookie": "a=b" } },
      ),
    options,
  );
  const answer = await stream(new Request("http://localhost/api/chat?x=1", { headers: { traceparent } }), {});
  assert.deepEqual([answer.status, answer.headers.get("x-own"), answer.headers.getSetCookie()], [201, "1", ["a=b"]]);
  assert.equal(await answer.text(), "1 2 3 4 5 ");
  const left = await stream(new Request("http://localhost/left"));
  const reader = left.body.getReader();
  await reader.read();
  await reader.cancel("gone");

  const failing = withTracing(async () => {
    throw new Error("broken");
  }, options);
  await assert.rejects(async () => failing(new Request("http://localhost/broken")), /broken/);
  const redirecting = withTracing(async () => {
    throw Object.assign(new Error("NEXT_REDIRECT"), { digest: "NEXT_REDIRECT;replace;/;307;" });
  }, options);
  await assert.rejects(async () => redirecting(new Request("http://localhost/moved")), /NEXT_REDIRECT/);
  const plain = withTracing((_request, { params }) => Response.json(params), { client, name: "plain" });
  assert.deepEqual(await (await plain(new Request("http://localhost/p"), { params: { id: 3 } })).json(), { id: 3 });
  const empty = withTracing(() => new Response(null, { status: 204 }), { client, name: "empty" });
  assert.equal((await empty(new Request("http://localhost/e"))).status, 204);

  const found = await sent();
  const request = found["GET /api/chat"];
  assert.equal(request.parent, parent.spanId);
  assert.deepEqual(request.metadata, { method: "GET", path: "/api/chat", status: 201 });
  const pieces = (await server.list(key)).filter((row) => row.name === "piece" && row.parent === request.span_id);
  assert.equal(pieces.length, 5);
  assert.equal(found["GET /left"].level, "WARNING");
  assert.equal(found["GET /broken"].level, "ERROR");
  assert.match(found["GET /broken"].status_message, /broken/);
  assert.notEqual(found["GET /moved"].level, "ERROR");
  assert.equal(found.plain.metadata.status, 200);
  assert.equal(found.empty.metadata.status, 204);
});

test("a route handler on a serverless host: the host waits for what was traced, the answer does not", async () => {
  const { client, key } = fresh(server, { flushInterval: 60 });
  const tasks = [];
  const after = (task) => tasks.push(task());
  const handler = withTracing(async () => new Response("body"), { client, name: "request", flush: true, after });
  const answer = await handler(new Request("http://localhost/a"));
  assert.equal(tasks.length, 1);
  assert.equal(await answer.text(), "body");
  await Promise.all(tasks);
  assert.equal((await server.list(key)).length, 1);

  const waited = [];
  globalThis[Symbol.for("@vercel/request-context")] = { get: () => ({ waitUntil: (promise) => waited.push(promise) }) };
  try {
    await (await handler(new Request("http://localhost/b"))).text();
    assert.equal(waited.length, 1);
    await Promise.all(waited);
  } finally {
    delete globalThis[Symbol.for("@vercel/request-context")];
  }
  assert.equal((await server.list(key)).length, 2);
  assert.equal(tasks.length, 1);
});

test("the instrumentation hook says at the start what is wrong, and is quiet on the edge", async () => {
  const ended = await run('import { register } from "tracespool/next"; register(); console.log("up");', {});
  assert.match(ended.out, /up/);
  assert.match(ended.err, /tracespool: /);
  const edge = await run('import { register } from "tracespool/next"; register(); console.log("up");', { env: { NEXT_RUNTIME: "edge" } });
  assert.deepEqual([edge.out, edge.err], ["up\n", ""]);
  const { client, sent } = fresh(server);
  client.startActiveObservation("request", () => onRequestError(new Error("from next"), {}, {}));
  register();
  assert.match((await sent()).request.status_message, /from next/);
});
