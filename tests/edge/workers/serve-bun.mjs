import { withTracing } from "tracespool";
import { handler } from "./application.js";

const server = Bun.serve(withTracing({ port: 0, hostname: "127.0.0.1", fetch: (request) => handler.fetch(request, process.env) }));
console.log(server.port);
