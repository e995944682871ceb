import { Readable } from "node:stream";
import express from "express";
import { ask, fail, goodbye, look, stream } from "./tracing.mjs";

const app = express();
app.use(express.json());
app.post("/ask", async (request, response) => response.json(await ask(request.headers, request.body.text)));
app.get("/stream", (request, response) => Readable.fromWeb(stream(request.headers)).pipe(response));
app.get("/fail", async (request, response) => response.json(await fail(request.headers)));
app.get("/stats", (_request, response) => response.json(look()));
app.use((error, _request, response, _next) => response.status(500).json({ error: error.message }));

const server = app.listen(Number(process.env.PORT), "127.0.0.1");
process.once("SIGTERM", async () => {
  server.close();
  server.closeAllConnections();
  await goodbye();
  process.exit(0);
});
