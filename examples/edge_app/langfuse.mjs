/**
 * The same Worker on the langfuse packages, written as a careful user has to write it: a processor for each key, a provider that
 * hands each span to the one of the request's keys, a context manager, and a flush within the request's `waitUntil`.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { LangfuseSpanProcessor } from "@langfuse/otel";
import { propagateAttributes, setLangfuseTracerProvider, startActiveObservation } from "@langfuse/tracing";
import { ROOT_CONTEXT, context, createContextKey } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { serve } from "./service.mjs";

const PROJECT = createContextKey("project");

/** OpenTelemetry's own asks for `async_hooks` by `require`, which Workers do not have. */
class Contexts {
  #storage = new AsyncLocalStorage();

  active() {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }

  with(inside, body, self, ...args) {
    return this.#storage.run(inside, () => body.apply(self, args));
  }

  bind(inside, body) {
    return (...args) => this.with(inside, body, undefined, ...args);
  }

  enable() {
    return this;
  }

  disable() {
    return this;
  }
}

/** Sends what a request traces to the project of its keys. */
class Router {
  #processors = new Map();
  #spans = new WeakMap();

  of(keys, baseUrl) {
    const known = this.#processors.get(keys.publicKey);
    if (known) return known;
    const made = new LangfuseSpanProcessor({ ...keys, baseUrl });
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
context.setGlobalContextManager(new Contexts());
setLangfuseTracerProvider(new BasicTracerProvider({ spanProcessors: [router] }));

const ask = serve((keys, env) => {
  const processor = router.of(keys, env.LANGFUSE_BASE_URL);
  return {
    propagateAttributes: (attributes, body) =>
      context.with(context.active().setValue(PROJECT, processor), () => propagateAttributes(attributes, body)),
    startActiveObservation,
  };
});

export default {
  async fetch(request, env, ctx) {
    const response = await ask(request, env, ctx);
    const keys = { publicKey: request.headers.get("x-public-key"), secretKey: request.headers.get("x-secret-key") };
    if (keys.publicKey) ctx.waitUntil(router.of(keys, env.LANGFUSE_BASE_URL).forceFlush());
    return response;
  },
};
