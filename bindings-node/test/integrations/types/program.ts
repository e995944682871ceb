// Compiled only: observed clients keep their type, and the handler is one wherever LangChain takes one.
import type { BaseCallbackHandler, CallbackHandlerMethods } from "@langchain/core/callbacks/base";
import { CallbackManager, type Callbacks } from "@langchain/core/callbacks/manager";
import { RunnableLambda } from "@langchain/core/runnables";
import OpenAI, { AzureOpenAI } from "openai";
import { Client } from "tracespool";
import { CallbackHandler, type CallbackHandlerParams } from "tracespool/langchain";
import { type LangfuseConfig, observeOpenAI } from "tracespool/openai";

const client = new Client();
const config: LangfuseConfig = {
  traceName: "t",
  sessionId: "s",
  userId: "u",
  tags: ["a"],
  generationName: "g",
  generationMetadata: { plan: "pro" },
  langfusePrompt: { name: "p", version: 1, isFallback: false },
  parentSpanContext: { traceId: "0".repeat(32), spanId: "0".repeat(16), traceFlags: 1 },
  client,
};
const openai: OpenAI = observeOpenAI(new OpenAI({ apiKey: "k" }), config);
export const azure: AzureOpenAI = observeOpenAI(new AzureOpenAI({ apiKey: "k", apiVersion: "v", endpoint: "http://x" }));

export async function calls(): Promise<string | null | undefined> {
  const { data, response } = await openai.chat.completions.create({ model: "m", messages: [] }).withResponse();
  const stream = await openai.chat.completions.create({ model: "m", messages: [], stream: true });
  stream.controller.abort();
  for await (const chunk of stream) {
    return chunk.choices[0]?.delta.content;
  }
  return response.ok ? data.choices[0]?.message.content : undefined;
}

const params: CallbackHandlerParams = { userId: "u", sessionId: "s", tags: ["a"], version: "v", traceMetadata: { a: 1 }, client };
const handler = new CallbackHandler(params);
export const trace: string | null = handler.last_trace_id;
export const callbacks: Callbacks = [handler];
export const methods: CallbackHandlerMethods = handler;
export const base: BaseCallbackHandler = handler;
export const manager = CallbackManager.fromHandlers({});
manager.addHandler(handler);
export const run = RunnableLambda.from((x: number) => x).invoke(1, { callbacks: [handler] });
