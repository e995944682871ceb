// As Vercel's edge runtime calls a function: an event with `waitUntil`.
import { startActiveObservation, startObservation, withTracing } from "tracespool";

const handler = withTracing(
  (request) =>
    startActiveObservation("root", (root) => {
      root.update({ input: request.url, output: "ok" });
      startObservation("leaf").end();
      return new Response(root.traceId);
    }),
  { waitUntil: (promise) => globalThis.current.waitUntil(promise) },
);

addEventListener("fetch", (event) => {
  globalThis.current = event;
  event.respondWith(handler(event.request));
});
