import { withTracing } from "tracespool";
import { handler } from "./application.js";

const env = Deno.env.toObject();
Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: ({ port }) => console.log(port) }, withTracing((request) => handler.fetch(request, env)));
