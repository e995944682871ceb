/** The web service around the agent. Each request brings the keys of the user who sends it. */
import { readFileSync, readdirSync } from "node:fs";
import express from "express";
import { answer } from "./agent.mjs";

/**
 * @param tracingOf what traces a request with these keys.
 * @param goodbye sends what is pending when the service stops.
 */
export function serve(tracingOf, goodbye) {
  const app = express();
  app.use(express.json());

  app.post("/ask", async (request, response) => {
    // A client for each request, as services do whose users bring their own keys.
    const tracing = tracingOf({ publicKey: request.get("x-public-key"), secretKey: request.get("x-secret-key") });
    response.json(await answer(tracing, request.get("x-user") ?? "anonymous", request.body.text));
  });

  app.get("/stats", (_request, response) => {
    response.json({ pid: process.pid, threads: threads(), rss_kib: Math.round(process.memoryUsage.rss() / 1024) });
  });

  const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1");
  process.once("SIGTERM", async () => {
    server.close();
    server.closeAllConnections();
    await goodbye();
    process.exit(0);
  });
}

/** Threads by name. */
function threads() {
  const found = {};
  for (const task of readdirSync("/proc/self/task")) {
    const name = readFileSync(`/proc/self/task/${task}/comm`, "utf8").trim();
    found[name] = (found[name] ?? 0) + 1;
  }
  return found;
}
