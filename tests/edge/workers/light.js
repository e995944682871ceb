// As Vercel's edge runtime calls a function: an event with `waitUntil`.
import { withTracing } from "tracespool";
import { handler } from "./application.js";

addEventListener("fetch", (event) => {
  const traced = withTracing((request) => handler.fetch(request, process.env), { waitUntil: (promise) => event.waitUntil(promise) });
  event.respondWith(traced(event.request));
});
