import { AsyncLocalStorage } from "node:async_hooks";
import { LangfuseSpanProcessor } from "@langfuse/otel";
import { setLangfuseTracerProvider, startActiveObservation } from "@langfuse/tracing";
import { ROOT_CONTEXT, context } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";

/** OpenTelemetry's context manager, as its own package does it. */
class Manager {
  storage = new AsyncLocalStorage();
  active() {
    return this.storage.getStore() ?? ROOT_CONTEXT;
  }
  with(inside, fn, self, ...args) {
    return this.storage.run(inside, () => fn.apply(self, args));
  }
  bind(inside, target) {
    return (...args) => this.with(inside, target, undefined, ...args);
  }
  enable() {
    return this;
  }
  disable() {
    return this;
  }
}

let processor;
function start(env) {
  if (processor !== undefined) return;
  processor = new LangfuseSpanProcessor({
    publicKey: env.LANGFUSE_PUBLIC_KEY,
    secretKey: env.LANGFUSE_SECRET_KEY,
    baseUrl: env.LANGFUSE_BASE_URL,
    exportMode: "batched",
  });
  context.setGlobalContextManager(new Manager());
  setLangfuseTracerProvider(new BasicTracerProvider({ spanProcessors: [processor] }));
}

export default {
  async fetch(request, env, ctx) {
    start(env);
    const count = Number(new URL(request.url).searchParams.get("n"));
    let sum = 0;
    for (let at = 0; at < count; at += 1) {
      const input = { question: `number ${at}`, more: ["a", "b"] };
      sum += startActiveObservation("step", (step) => {
        step.update({ input, output: "done" });
        return JSON.stringify(input).length;
      });
    }
    ctx.waitUntil(processor.forceFlush());
    return new Response(String(sum));
  },
};
