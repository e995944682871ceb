// The subpaths as applications use them; none of these imports is of "tracespool" itself but the handlers'.
import { HumanMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import OpenAI from "openai";
import { flushAll, startActiveObservation, withTracing } from "tracespool";
import { CallbackHandler } from "tracespool/langchain";
import { observeOpenAI } from "tracespool/openai";
import { LangfuseSpanProcessor } from "tracespool/otel";
import { propagateAttributes, startObservation, updateActiveObservation } from "tracespool/tracing";

const messages = [{ role: "user", content: "the question" }];

const acts = {
  async "/openai"(env) {
    const client = observeOpenAI(new OpenAI({ apiKey: "sk-fake", baseURL: env.MODEL_URL }));
    return startActiveObservation("root", async () => {
      const whole = await client.chat.completions.create({ model: "whole", messages });
      let streamed = "";
      for await (const chunk of await client.chat.completions.create({ model: "streamed", messages, stream: true })) {
        streamed += chunk.choices[0]?.delta?.content ?? "";
      }
      return [whole.choices[0].message.content, streamed];
    });
  },
  async "/langchain"(env) {
    const model = new ChatOpenAI({ model: "chained", apiKey: "sk-fake", configuration: { baseURL: env.MODEL_URL } });
    const answer = await model.invoke([new HumanMessage("the question")], { callbacks: [new CallbackHandler({ userId: "u" })], runName: "chain" });
    return [answer.content];
  },
  async "/tracing"() {
    const root = startObservation("root", { input: "i" });
    await propagateAttributes({ userId: "u", sessionId: "s" }, async () => {
      const child = root.startObservation("child", { model: "m" }, { asType: "generation" });
      await scheduler.wait(1);
      child.update({ output: "o" }).end();
    });
    updateActiveObservation({ output: "nobody's" });
    root.end();
    return [root.traceId];
  },
  async "/otel"(env) {
    const processor = new LangfuseSpanProcessor({ publicKey: env.LANGFUSE_PUBLIC_KEY, secretKey: env.LANGFUSE_SECRET_KEY, baseUrl: env.LANGFUSE_BASE_URL, shouldExportSpan: () => true });
    const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("of another");
    const span = tracer.startSpan("theirs", { attributes: { "gen_ai.request.model": "m" } });
    await scheduler.wait(1);
    span.end();
    return [span.spanContext().traceId];
  },
};

export default withTracing({
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    return Response.json(pathname === "/flush" ? await flushAll() : await acts[pathname](env));
  },
});
