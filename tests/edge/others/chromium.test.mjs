// A page in Debian's Chromium, bundled without any configuration.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const home = dirname(fileURLToPath(import.meta.url));
const chromium = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

test("a page scores with its public key; a secret key records nothing", { skip: chromium === undefined && "no Chromium is installed; name one in CHROMIUM" }, async () => {
  const { outputFiles } = await build({ entryPoints: [join(home, "..", "workers", "page.js")], bundle: true, minify: true, format: "esm", platform: "browser", write: false });
  const scores = [];
  let traces = 0;
  let said;
  const heard = new Promise((resolve) => (said = resolve));
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) {
      chunks.push(chunk);
    }
    const body = Buffer.concat(chunks);
    switch (new URL(request.url, "http://page").pathname) {
      case "/":
        response.setHeader("content-type", "text/html");
        response.end('<script type="module" src="/page.js"></script>');
        break;
      case "/page.js":
        response.setHeader("content-type", "text/javascript");
        response.end(outputFiles[0].text);
        break;
      case "/said":
        said(JSON.parse(body.toString()));
        response.end();
        break;
      case "/api/public/health":
        response.end('{"status":"OK","version":"3.0.0"}');
        break;
      case "/api/public/otel/v1/traces":
        traces += 1;
        response.end();
        break;
      case "/favicon.ico":
        response.statusCode = 404;
        response.end();
        break;
      default:
        scores.push({ path: request.url, authorization: request.headers.authorization, body: body.toString() });
        response.statusCode = 207;
        response.end(JSON.stringify({ successes: (JSON.parse(body).batch ?? []).map(({ id }) => ({ id, status: 201 })), errors: [] }));
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}/`;
  const page = spawn(chromium, ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0", url], { stdio: "ignore" });
  try {
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error("the page said nothing")), 40_000).unref());
    const result = await Promise.race([heard, late]);
    assert.deepEqual(result.errors.length, 1, JSON.stringify(result));
    assert.match(result.errors[0], /a secret key must not be in a browser/);
    assert.equal(result.enabled, false);
    assert.equal(traces, 0);
    assert.ok(scores.length > 0, JSON.stringify(result));
    assert.equal(scores[0].authorization, "Bearer pk-page");
    assert.equal(result.report.delivered, 1, JSON.stringify([result, scores]));
  } finally {
    page.kill("SIGKILL");
    server.closeAllConnections();
    server.close();
  }
});
