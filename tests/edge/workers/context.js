// Functions on Vercel whose `waitUntil` nobody passes, and one that passes Vercel's own.
import { waitUntil } from "@vercel/functions";
import { startActiveObservation, withTracing } from "tracespool";

const traced = (name) => startActiveObservation(name, async () => new Response(name));

const handlers = {
  "/found": withTracing(() => traced("found")),
  "/plain": () => traced("plain"),
  "/passed": withTracing(() => traced("passed"), { waitUntil }),
};

addEventListener("fetch", (event) => event.respondWith(handlers[new URL(event.request.url).pathname](event.request)));
