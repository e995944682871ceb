// A bundled page in Chromium. What it sends goes to the collector by the address that the page came from.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

const chromium = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
export const skip = chromium === undefined && "no Chromium is installed; name one in CHROMIUM";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Opens a folder's `index.html` and waits for what the page says at `/said`. */
export async function open(folder, collector) {
  let said;
  const heard = new Promise((resolve) => (said = resolve));
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://page");
    const body = await bodyOf(request);
    if (pathname === "/said") {
      said(JSON.parse(body));
      response.end();
    } else if (pathname.startsWith("/api/")) {
      const { authorization, "content-type": type } = request.headers;
      const sent = { method: request.method, headers: { ...(authorization && { authorization }), ...(type && { "content-type": type }) } };
      const answer = await fetch(collector.url + request.url, body.length > 0 ? { ...sent, body } : sent);
      response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "text/plain" });
      response.end(Buffer.from(await answer.arrayBuffer()));
    } else {
      const path = join(folder, pathname === "/" ? "index.html" : pathname);
      const type = TYPES[/\.\w+$/.exec(path)?.[0]];
      response.writeHead(existsSync(path) ? 200 : 404, type ? { "content-type": type } : {});
      response.end(existsSync(path) ? readFileSync(path) : "");
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const profile = mkdtempSync(join(tmpdir(), "page-"));
  const options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0", `--user-data-dir=${profile}`];
  const browser = spawn(chromium, [...options, `http://127.0.0.1:${server.address().port}/`], { stdio: "ignore" });
  const ended = new Promise((resolve) => browser.once("close", resolve));
  try {
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error("the page said nothing")), 60_000).unref());
    return await Promise.race([heard, late]);
  } finally {
    browser.kill("SIGKILL");
    await ended;
    server.closeAllConnections();
    server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
