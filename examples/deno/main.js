// deno run --allow-net --allow-env --allow-read main.js
// What is pending is sent in the background, and before the process ends.
import { startActiveObservation, withTracing } from "tracespool";

const handler = withTracing((request) =>
  startActiveObservation("request", (root) => {
    root.update({ input: request.url, output: "hello" });
    return new Response("hello");
  }),
);

Deno.serve({ port: Number(Deno.env.get("PORT") ?? 8000) }, handler);
