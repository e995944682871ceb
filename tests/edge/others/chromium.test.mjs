// Pages in Debian's Chromium, bundled without any configuration, against a real collector.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { collector, freshKey, pause } from "../../../bindings-node/test/collector.mjs";
import { silent } from "../host.mjs";

const home = dirname(fileURLToPath(import.meta.url));
const chromium = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const options = { skip: chromium === undefined && "no Chromium is installed; name one in CHROMIUM" };
const HTML = '<!doctype html><script type="module" src="/page.js"></script>';
const FORWARDED = ["authorization", "content-type", "content-encoding"];

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function listen(answer) {
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, server };
}

/** Lets pages of any origin reach a server, as a gateway in front of Langfuse does. */
async function gateway(target) {
  const paths = [];
  const { url, server } = await listen(async (request, response) => {
    const body = await bodyOf(request);
    response.setHeader("access-control-allow-origin", "*");
    response.setHeader("access-control-allow-headers", "*, authorization");
    response.setHeader("access-control-allow-private-network", "true");
    if (request.method === "OPTIONS") {
      response.statusCode = 204;
      response.end();
      return;
    }
    paths.push(request.url);
    const headers = Object.fromEntries(FORWARDED.flatMap((name) => (request.headers[name] === undefined ? [] : [[name, request.headers[name]]])));
    const answer = await fetch(`${target}${request.url}`, { method: request.method, headers, ...(body.length > 0 ? { body } : {}) });
    response.statusCode = answer.status;
    response.setHeader("content-type", answer.headers.get("content-type") ?? "text/plain");
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  return { url, paths, server };
}

let server;
let script;
let pages;
const servers = [];
let said;

before(async () => {
  if (options.skip) {
    return;
  }
  const { outputFiles } = await build({ entryPoints: [join(home, "..", "workers", "page.js")], bundle: true, minify: true, format: "esm", platform: "browser", write: false });
  script = outputFiles[0].text;
  server = await collector();
  pages = await listen(async (request, response) => {
    const { pathname } = new URL(request.url, "http://page");
    const body = await bodyOf(request);
    if (pathname === "/said") {
      said(JSON.parse(body.toString()));
    } else if (pathname === "/elsewhere") {
      response.setHeader("content-type", "text/html");
      response.write("<!doctype html>gone");
    } else if (pathname === "/page.js") {
      response.setHeader("content-type", "text/javascript");
      response.write(script);
    } else if (pathname === "/") {
      response.setHeader("content-type", "text/html");
      response.write(HTML);
    } else {
      response.statusCode = 404;
    }
    response.end();
  });
  servers.push(pages.server);
});
after(() => {
  for (const each of servers) {
    each.closeAllConnections();
    each.close();
  }
});

/** Opens a page that does what `asked` says. */
async function visit(context, asked, target = server.url) {
  const key = freshKey();
  const between = await gateway(target);
  servers.push(between.server);
  const profile = mkdtempSync(join(tmpdir(), "chromium-"));
  const heard = new Promise((resolve, reject) => {
    said = resolve;
    setTimeout(() => reject(new Error("the page said nothing")), 60_000).unref();
  });
  heard.catch(() => undefined);
  const query = new URLSearchParams({ key, server: between.url, ...asked });
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-popup-blocking", "--remote-debugging-port=0"];
  const browser = spawn(chromium, [...flags, `--user-data-dir=${profile}`, `${pages.url}/?${query}`], { stdio: "ignore", detached: true });
  const gone = new Promise((resolve) => browser.once("close", resolve));
  context.after(async () => {
    // With its children, which would go on writing.
    if (browser.exitCode === null && browser.signalCode === null) process.kill(-browser.pid, "SIGKILL");
    await gone;
    rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });
  return { key, heard, paths: between.paths };
}

/** The scores that have arrived, once there are so many; 30 s at most. */
async function arrived(key, count, from = server) {
  for (let tries = 0; tries < 300 && (await from.scores(key)).length < count; tries += 1) {
    await pause(100);
  }
  return (await from.scores(key)).length;
}

test("a page with a secret key records nothing, and one line says so", options, async (context) => {
  const { heard, paths } = await visit(context, { do: "secret" });
  const { errors, enabled } = await heard;
  assert.equal(errors.length, 1, JSON.stringify(errors));
  assert.match(errors[0], /a secret key must not be in a browser/);
  assert.ok(!errors[0].includes("sk-very-secret"));
  assert.equal(enabled, false);
  assert.deepEqual(paths, []);
});

test("a page scores with its public key, and records nothing else", options, async (context) => {
  const { key, heard, paths } = await visit(context, { do: "score", count: "200" });
  const { report, errors } = await heard;
  assert.deepEqual([report.delivered, errors], [200, []]);
  assert.equal(await arrived(key, 200), 200);
  assert.deepEqual([...new Set(paths)], ["/api/public/ingestion"]);
  assert.equal((await server.counts(key)).observations, 0);
});

test("a page whose server answers 503 twice scores in the end", options, async (context) => {
  const own = await collector();
  await own.faults({ fault: "503", path: "/api/public", count: 2 });
  const { key, heard, paths } = await visit(context, { do: "score", timeout: "15000" }, own.url);
  assert.equal((await heard).report.delivered, 1);
  assert.equal(await arrived(key, 1, own), 1);
  assert.equal(paths.length, 3);
});

test("a page whose server never answers has its answer in time", options, async (context) => {
  const hanging = await silent();
  context.after(() => hanging.close());
  const { heard } = await visit(context, { do: "score", timeout: "700" }, hanging.url);
  const { report, took } = await heard;
  assert.equal(report.complete, false);
  assert.ok(took < 1500, `${took} ms`);
});

test("a page scores for 1,000 keys", options, async (context) => {
  const { heard } = await visit(context, { do: "keys", count: "1000" });
  assert.equal((await heard).delivered, 1000);
});

test("a page that is left at once has sent its score", options, async (context) => {
  const { key } = await visit(context, { do: "navigate" });
  assert.equal(await arrived(key, 1), 1);
});

test("a page that is left at once has sent 20 long scores", options, async (context) => {
  const { key } = await visit(context, { do: "navigate", count: "20", size: "2000" });
  assert.equal(await arrived(key, 20), 20);
});

test("a page that is closed at once has sent its score", options, async (context) => {
  const { key } = await visit(context, { do: "popup" });
  assert.equal(await arrived(key, 1), 1);
});
