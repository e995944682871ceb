import { Readable } from "node:stream";
import fastify from "fastify";
import { ask, fail, goodbye, look, stream } from "./tracing.mjs";

const app = fastify({ forceCloseConnections: true });
app.post("/ask", (request) => ask(request.headers, request.body.text));
app.get("/stream", (request, reply) => reply.type("text/plain").send(Readable.fromWeb(stream(request.headers))));
app.get("/fail", (request) => fail(request.headers));
app.get("/stats", async () => look());
app.setErrorHandler((error, _request, reply) => reply.status(500).send({ error: error.message }));
app.addHook("onClose", goodbye);

await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
process.once("SIGTERM", () => app.close().then(() => process.exit(0)));
