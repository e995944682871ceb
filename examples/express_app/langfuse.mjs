/**
 * The same service on the langfuse packages, written as a careful user has to write it: their processor belongs to one project, and
 * one provider belongs to the process, so that a processor of our own hands each span to the one of the request's keys.
 *
 *     PORT=3000 node langfuse.mjs
 */
import { LangfuseClient } from "@langfuse/client";
import { LangfuseSpanProcessor } from "@langfuse/otel";
import { propagateAttributes, startActiveObservation } from "@langfuse/tracing";
import { context, createContextKey } from "@opentelemetry/api";
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { serve } from "./service.mjs";

const PROJECT = createContextKey("project");

/** Sends what a request traces to the project of its keys. */
class Router {
  #processors = new Map();
  #spans = new WeakMap();

  of(keys) {
    const known = this.#processors.get(keys.publicKey);
    if (known) return known;
    const made = new LangfuseSpanProcessor(keys);
    this.#processors.set(keys.publicKey, made);
    return made;
  }

  onStart(span, around) {
    const processor = around.getValue(PROJECT);
    if (!processor) return;
    this.#spans.set(span, processor);
    processor.onStart(span, around);
  }

  onEnd(span) {
    this.#spans.get(span)?.onEnd(span);
  }

  async forceFlush() {
    await Promise.allSettled([...this.#processors.values()].map((processor) => processor.forceFlush()));
  }

  async shutdown() {
    await Promise.allSettled([...this.#processors.values()].map((processor) => processor.shutdown()));
  }
}

const router = new Router();
const provider = new NodeTracerProvider({ spanProcessors: [router] });
provider.register();
const clients = new Map();

function tracingOf(keys) {
  const processor = router.of(keys);
  let client = clients.get(keys.publicKey);
  if (!client) clients.set(keys.publicKey, (client = new LangfuseClient(keys)));
  return {
    propagateAttributes: (attributes, body) =>
      context.with(context.active().setValue(PROJECT, processor), () => propagateAttributes(attributes, body)),
    startActiveObservation,
    scoreTrace: (observation, score) => client.score.trace(observation, score),
    scoreObservation: (observation, score) => client.score.observation(observation, score),
  };
}

serve(tracingOf, async () => {
  await provider.shutdown();
  await Promise.allSettled([...clients.values()].map((client) => client.shutdown()));
});
