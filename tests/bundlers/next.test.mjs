// Next's edge runtime: `next build` and `next start`, by either of its bundlers, without a configuration.
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { collector, freshKey } from "../../bindings-node/test/collector.mjs";
import { Project, settings } from "./project.mjs";

const ROUTE = `
import { after } from "next/server";
import { startActiveObservation, startObservation, withTracing } from "tracespool";

export const runtime = "edge";

export const GET = withTracing(
  (request) =>
    startActiveObservation("route", async (root) => {
      root.update({ input: request.url });
      await new Promise((resolve) => setTimeout(resolve, 1));
      startObservation("leaf", { output: typeof EdgeRuntime }).end();
      return Response.json({ trace: root.traceId });
    }),
  { after },
);
`;

/** What a request traces after its answer: Next keeps the function alive for \`after\`, and so for what is sent there. */
const LATER = `
import { after } from "next/server";
import { flushAll, startActiveObservation } from "tracespool";

export const runtime = "edge";

export function GET() {
  after(async () => {
    await startActiveObservation("later", (step) => step.update({ output: typeof EdgeRuntime }));
    await flushAll();
  });
  return Response.json({});
}
`;

const MIDDLEWARE = `
import { NextResponse } from "next/server";
import { startActiveObservation, withTracing } from "tracespool";

export const config = { matcher: "/api/ask" };

// Next hands the event over: its \`waitUntil\` is found there.
export const middleware = withTracing((request, event) =>
  startActiveObservation("middleware", async (root) => {
    root.update({ input: new URL(request.url).pathname, output: typeof EdgeRuntime });
    return NextResponse.next();
  }),
);
`;

const FILES = {
  "app/layout.jsx": "export default ({ children }) => <html><body>{children}</body></html>;",
  "app/page.jsx": "export default () => <p>hello</p>;",
  "app/api/ask/route.js": ROUTE,
  "app/api/later/route.js": LATER,
  "middleware.js": MIDDLEWARE,
  // Not of type "module": Next's webpack then fails on every edge route.
  "package.json": JSON.stringify({ name: "app", private: true }),
};

/** For both runtimes: a binary is loaded by Node, not bundled, and `withTracing` follows the answer. */
const BOTH = {
  ...FILES,
  "next.config.mjs": 'export default { serverExternalPackages: ["tracespool"] };',
  "instrumentation.js": 'export { register, onRequestError } from "tracespool/next";',
  "app/api/edge/route.js": `
import { startObservation } from "tracespool";
import { withTracing } from "tracespool/next";

export const runtime = "edge";
export const GET = withTracing(() => { startObservation("edge leaf").end(); return Response.json({}); }, { name: "edge" });
`,
  "app/api/node/route.js": `
import { startObservation } from "tracespool";
import { withTracing } from "tracespool/next";

export const dynamic = "force-dynamic";
export const GET = withTracing(() => { startObservation("node leaf").end(); return Response.json({}); }, { name: "node", flush: true });
`,
};

async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** Until it answers, 60 s at most. */
async function started(child, url) {
  for (let tries = 0; tries < 600 && child.exitCode === null; tries += 1) {
    try {
      await (await fetch(url)).text();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  throw new Error(`next did not start:\n${child.said}`);
}

let server;
const running = [];
before(async () => {
  server = await collector();
});
after(() => running.forEach((child) => child.kill()));

/** Builds and starts it; where it listens, and what it says. */
async function start(files, bundler, env) {
  const project = new Project(files);
  const built = await project.run("next", ["build", `--${bundler}`], { env, timeout: 400_000 });
  assert.ok(!built.includes("tracespool"), built);
  const port = await freePort();
  const child = project.start("next", ["start", "--hostname", "127.0.0.1", "--port", String(port)], env);
  running.push(child);
  const url = `http://127.0.0.1:${port}`;
  await started(child, url);
  return { child, url };
}

for (const bundler of ["turbopack", "webpack"]) {
  test(`Next with ${bundler}: an edge route, edge middleware and after`, async () => {
    const key = freshKey();
    const { child, url } = await start(FILES, bundler, settings(server, key));

    const { trace } = await (await fetch(`${url}/api/ask`)).json();
    assert.equal(await server.waitFor(key, 3), 3);
    const { route, leaf, middleware } = await server.observations(key);
    assert.deepEqual([route.trace_id, leaf.parent, leaf.trace_id], [trace, route.span_id, trace]);
    for (const row of [leaf, middleware]) {
      assert.match(row.output, /string/, "it ran in the edge runtime");
    }

    await (await fetch(`${url}/api/later`)).json();
    assert.equal(await server.waitFor(key, 4), 4);
    assert.match((await server.observations(key)).later.output, /string/);
    assert.ok(!child.said.includes("tracespool"), child.said);
  });
}

test("Next with both runtimes: tracespool/next in routes and as the instrumentation hook", async () => {
  const key = freshKey();
  const { child, url } = await start(BOTH, "turbopack", settings(server, key));
  for (const runtime of ["edge", "node"]) {
    assert.equal((await fetch(`${url}/api/${runtime}`)).status, 200);
  }
  assert.equal(await server.waitFor(key, 4), 4);
  const rows = await server.observations(key);
  for (const runtime of ["edge", "node"]) {
    assert.equal(rows[`${runtime} leaf`].parent, rows[runtime].span_id);
  }
  assert.ok(!child.said.includes("tracespool"), child.said);
});
