// The packages of Langfuse, as the twins use them.
import { createRequire } from "node:module";

export async function start() {
  const require = createRequire(new URL("../current/", import.meta.url));
  const { BasicTracerProvider } = require("@opentelemetry/sdk-trace-base");
  const { AsyncLocalStorageContextManager } = require("@opentelemetry/context-async-hooks");
  const { context, trace } = require("@opentelemetry/api");
  const { LangfuseSpanProcessor } = require("@langfuse/otel");
  const { startActiveObservation } = require("@langfuse/tracing");
  const { observeOpenAI } = require("@langfuse/openai");
  const { CallbackHandler } = require("@langfuse/langchain");
  const processor = new LangfuseSpanProcessor();
  const provider = new BasicTracerProvider({ spanProcessors: [processor] });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  trace.setGlobalTracerProvider(provider);
  const finish = async () => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    await processor.forceFlush();
    await new Promise((resolve) => setTimeout(resolve, 500));
  };
  return { api: { CallbackHandler, observeOpenAI }, startActive: startActiveObservation, finish };
}
