// One program for both libraries: `node langchain.mjs langfuse|tracespool OPENAI_URL`.
import { createRequire } from "node:module";

const [, , library, url] = process.argv;
const require = createRequire(new URL("../current/", import.meta.url));
const { api, startActive, finish } = await (await import(`./${library}.mjs`)).start();
const { ChatOpenAI, OpenAI } = require("@langchain/openai");
const { HumanMessage, AIMessage, ToolMessage } = require("@langchain/core/messages");
const { ChatPromptTemplate } = require("@langchain/core/prompts");
const { StringOutputParser } = require("@langchain/core/output_parsers");
const { RunnableLambda, RunnableParallel } = require("@langchain/core/runnables");
const { tool } = require("@langchain/core/tools");
const { BaseRetriever } = require("@langchain/core/retrievers");
const { Document } = require("@langchain/core/documents");
const { StateGraph, MessagesAnnotation, START, END, interrupt, Command, MemorySaver } = require("@langchain/langgraph");
const { ToolNode } = require("@langchain/langgraph/prebuilt");
const { z } = require("zod");

const handler = new api.CallbackHandler({ userId: "u1", sessionId: "s1", tags: ["mine"], version: "v1", traceMetadata: { plan: "pro" } });
const config = (runName, more = {}) => ({ callbacks: [handler], runName, ...more });
const chat = (model = "fake") => new ChatOpenAI({ model, apiKey: "k", maxRetries: 0, temperature: 0.5, maxTokens: 50, configuration: { baseURL: url } });
const ignore = () => undefined;
const drain = async (stream) => {
  for await (const _ of await stream);
};
const prompt = ChatPromptTemplate.fromMessages([
  ["system", "be nice"],
  ["human", "{q}"],
]).withConfig({ metadata: { langfusePrompt: { name: "greet", version: 3, isFallback: false } } });
const chain = prompt.pipe(chat()).pipe(new StringOutputParser());

await chain.invoke({ q: "hello" }, config("chain", { metadata: { langfuseSessionId: "s2", langfuseUserId: "u2", other: "x" }, tags: ["run tag"] }));
await chat().invoke([new HumanMessage("alone"), new ToolMessage({ content: "r", tool_call_id: "c9" })], config("model"));
await drain(chain.stream({ q: "stream" }, config("stream")));
await drain(chat().stream("what?", config("model stream")));
await new OpenAI({ model: "fake", apiKey: "k", maxRetries: 0, configuration: { baseURL: url } }).invoke("what?", config("completion"));
const weather = tool(({ city }) => startActive("inside", async () => `sun in ${city}`), { name: "weather", description: "tells", schema: z.object({ city: z.string() }) });
await weather.invoke({ city: "Oslo" }, config("tool"));
await chat("calls").bindTools([weather]).invoke("Oslo?", config("asking"));
await chat("fails").invoke("what?", config("fails")).catch(ignore);
await drain(chat("breaks").stream("what?", config("breaks"))).catch(ignore);
const failing = RunnableLambda.from(() => {
  throw new RangeError("it failed");
}).withConfig({ runName: "thrower" });
await RunnableLambda.from((x) => x).withConfig({ runName: "first" }).pipe(failing).invoke("i", config("error")).catch(ignore);

class Shelf extends BaseRetriever {
  lc_namespace = ["test"];
  async _getRelevantDocuments() {
    return [new Document({ pageContent: "page", metadata: { n: 1 } })];
  }
}
await new Shelf().invoke("query", config("retriever"));
await RunnableLambda.from((x) => x).invoke("x", config("An Agent", { tags: ["langsmith:hidden"] }));
const step = (name) => RunnableLambda.from(async (x) => x).withConfig({ runName: name });
await startActive("outer", () => RunnableParallel.from({ a: step("one"), b: step("two") }).invoke(1, config("parallel")));

const model = chat("calls").bindTools([weather]);
const agent = new StateGraph(MessagesAnnotation)
  .addNode("think", async (state) => ({ messages: [await model.invoke(state.messages)] }))
  .addNode("act", new ToolNode([weather]))
  .addEdge(START, "think")
  .addConditionalEdges("think", (state) => (state.messages.at(-1).tool_calls?.length ? "act" : END))
  .addEdge("act", "think")
  .compile();
await agent.invoke({ messages: [new HumanMessage("Oslo?")] }, config("graph"));
const asking = new StateGraph(MessagesAnnotation)
  .addNode("ask", () => ({ messages: [new AIMessage(`you said ${interrupt("which?")}`)] }))
  .addEdge(START, "ask")
  .addEdge("ask", END)
  .compile({ checkpointer: new MemorySaver() });
const thread = { configurable: { thread_id: "th1" } };
await asking.invoke({ messages: [new HumanMessage("hi")] }, config("interrupted", thread));
await asking.invoke(new Command({ resume: "yes" }), config("resumed", thread));
await finish();
process.exit();
