// The handler for LangChain and LangGraph: the real packages, of several versions, against the fake model server and the real collector.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createRequire } from "node:module";

import * as t from "tracespool";
import { CallbackHandler } from "tracespool/langchain";
import { observeOpenAI } from "tracespool/openai";
import { collector } from "../collector.mjs";
import { fresh, lines, said } from "../fresh.mjs";
import { ANSWER, openaiServer } from "./openai_server.mjs";

const COUNTS = { input: 7, output: 5, total: 18, input_cache_read: 4, output_reasoning: 2 };

let store;
let server;
before(async () => {
  store = await collector();
  server = await openaiServer();
});
after(() => server.close());

for (const place of (process.env.PLACES ?? "./current/ ./earlier/").split(" ")) {
  const require = createRequire(new URL(place, import.meta.url));
  const { ChatOpenAI, OpenAI } = require("@langchain/openai");
  const { HumanMessage, AIMessage } = require("@langchain/core/messages");
  const { ChatPromptTemplate } = require("@langchain/core/prompts");
  const { StringOutputParser } = require("@langchain/core/output_parsers");
  const { RunnableLambda, RunnableParallel } = require("@langchain/core/runnables");
  const { tool } = require("@langchain/core/tools");
  const { BaseRetriever } = require("@langchain/core/retrievers");
  const { Document } = require("@langchain/core/documents");
  const { BaseCallbackHandler } = require("@langchain/core/callbacks/base");
  const { StateGraph, MessagesAnnotation, START, END, interrupt, Command, MemorySaver } = require("@langchain/langgraph");
  const { ToolNode } = require("@langchain/langgraph/prebuilt");
  const openai = require("openai");
  const { z } = require("zod");
  const { version } = JSON.parse(readFileSync(new URL(`${place}node_modules/@langchain/core/package.json`, import.meta.url)));

  describe(`@langchain/core ${version}`, () => {
    function setup(params = {}) {
      const { client, key } = fresh(store);
      const handler = new CallbackHandler({ client, ...params });
      const chat = (model = "fake", more = {}) =>
        new ChatOpenAI({ model, apiKey: "k", maxRetries: 0, temperature: 0.5, maxTokens: 50, configuration: { baseURL: server.url }, ...more });
      const list = async () => {
        const report = await client.flush({ timeout: 5000 });
        assert.equal(report.complete, true, JSON.stringify(report));
        return (await store.list(key)).sort((one, other) => one.start_ns - other.start_ns);
      };
      /** By the names from the root down. */
      const paths = async () => {
        const rows = await list();
        const known = new Map(rows.map((row) => [row.span_id, row]));
        const path = (row) => (row === undefined ? [] : [...path(known.get(row.parent)), row.name]);
        return Object.fromEntries(rows.map((row) => [path(row).join("/"), row]));
      };
      return { client, handler, chat, list, paths, config: (runName, more = {}) => ({ callbacks: [handler], runName, ...more }) };
    }

    const prompt = ChatPromptTemplate.fromMessages([
      ["system", "be nice"],
      ["human", "{q}"],
    ]);

    test("a chain of a prompt, a model and a parser", async () => {
      const { handler, chat, paths, config } = setup({ tags: ["mine"], version: "v1", traceMetadata: { plan: "pro", deep: { a: 1 } } });
      const linked = prompt.withConfig({ metadata: { langfusePrompt: { name: "greet", version: 3, isFallback: false } } });
      const chain = linked.pipe(chat()).pipe(new StringOutputParser());
      const metadata = { langfuseSessionId: "s1", langfuseUserId: "u1", langfuseTags: ["t1"], langfuseTraceName: "my trace", other: "x" };
      assert.equal(await chain.invoke({ q: "hello" }, config("chain", { metadata, tags: ["run tag"] })), ANSWER);
      const rows = await paths();
      assert.deepEqual(Object.keys(rows).sort(), ["chain", "chain/ChatOpenAI", "chain/ChatPromptTemplate", "chain/StrOutputParser"]);
      const root = rows.chain;
      assert.equal(root.trace_id, handler.last_trace_id);
      assert.equal(root.type, "chain");
      assert.deepEqual(said(root, "input"), { q: "hello" });
      assert.equal(root.output, ANSWER);
      assert.equal(root.metadata.other, "x");
      for (const row of Object.values(rows)) {
        assert.deepEqual([row.attributes["user.id"], row.attributes["session.id"], row.attributes["langfuse.trace.name"]], ["u1", "s1", "my trace"]);
        assert.deepEqual(row.attributes["langfuse.trace.tags"], ["run tag", "mine", "t1"]);
        assert.equal(row.attributes["langfuse.trace.metadata.plan"], "pro");
        assert.equal(row.version, "v1");
        assert.ok(!Object.keys(row.metadata).some((key) => key.startsWith("langfuse")), JSON.stringify(row.metadata));
      }
      assert.deepEqual(said(rows["chain/ChatPromptTemplate"], "output"), [
        { role: "system", content: "be nice" },
        { role: "user", content: "hello" },
      ]);
      const model = rows["chain/ChatOpenAI"];
      assert.equal(model.type, "generation");
      assert.deepEqual(said(model, "input"), [
        { role: "system", content: "be nice" },
        { role: "user", content: "hello" },
      ]);
      assert.deepEqual([said(model, "output").role, said(model, "output").content], ["assistant", ANSWER]);
      assert.equal(model.model, "fake-2026-01-01");
      const parameters = said(model, "model.parameters");
      assert.deepEqual([parameters.temperature, parameters.max_tokens ?? parameters.max_completion_tokens], [0.5, 50]);
      assert.deepEqual(said(model, "usage_details"), COUNTS);
      assert.deepEqual([model.prompt_name, model.prompt_version], ["greet", 3]);
    });

    test("streams know their first token, and a model may be called alone", async () => {
      const { chat, list, config } = setup({ userId: "u2", sessionId: "s2" });
      let text = "";
      for await (const chunk of await chat().stream("what?", config("alone"))) {
        text += chunk.content;
      }
      assert.equal(text, ANSWER);
      await new OpenAI({ model: "fake", apiKey: "k", maxRetries: 0, configuration: { baseURL: server.url } }).invoke("what?", config("completion"));
      const [alone, completion] = await list();
      assert.ok(alone.start < alone.completion_start && alone.completion_start <= alone.end, JSON.stringify(alone));
      assert.equal(said(alone, "output").content, ANSWER);
      assert.equal(alone.model, "fake-2026-01-01");
      assert.deepEqual([alone.attributes["user.id"], alone.attributes["session.id"]], ["u2", "s2"]);
      assert.deepEqual([completion.name, completion.output], ["completion", ANSWER]);
      assert.equal(completion.type, "generation");
    });

    test("tools: what is offered, asked for and answered", async () => {
      const { client, chat, list, paths, config } = setup();
      const weather = tool(
        ({ city }) => t.startActiveObservation("inside", () => `sun in ${city}`),
        { name: "weather", description: "tells", schema: z.object({ city: z.string() }) },
      );
      const asked = await chat("calls").bindTools([weather]).invoke([new HumanMessage("Oslo?")], config("asking"));
      assert.equal(asked.tool_calls[0].name, "weather");
      await weather.invoke({ city: "Oslo" }, config("weather"));
      const broken = tool(
        () => {
          throw new TypeError("no sun");
        },
        { name: "broken", description: "x", schema: z.object({}) },
      );
      await assert.rejects(broken.invoke({}, config("broken")), /no sun/);
      await client.flush();
      const [model] = await list();
      assert.equal(said(model, "input").tools[0].function.name, "weather");
      assert.deepEqual(said(model, "input").messages, [{ role: "user", content: "Oslo?" }]);
      assert.equal(said(model, "output").tool_calls[0].name, "weather");
      const rows = await paths();
      assert.equal(rows.weather.type, "tool");
      assert.deepEqual(said(rows.weather, "input"), { city: "Oslo" });
      assert.equal(rows.weather.output, "sun in Oslo");
      assert.equal(rows.broken.level, "ERROR");
      assert.match(rows.broken.status_message, /no sun/);
    });

    test("errors", async () => {
      const { chat, paths, config } = setup();
      const failing = RunnableLambda.from((x) => x)
        .withConfig({ runName: "first" })
        .pipe(
          RunnableLambda.from(() => {
            throw new RangeError("it failed");
          }).withConfig({ runName: "fails" }),
        );
      await assert.rejects(failing.invoke("i", config("error")), /it failed/);
      await assert.rejects(chat("fails").invoke("what?", config("model")), /slow down/);
      await assert.rejects(async () => {
        for await (const _ of await chat("breaks").stream("what?", config("stream")));
      }, /it broke/);
      const rows = await paths();
      assert.equal(rows["error/first"].level, "DEFAULT");
      for (const path of ["error", "error/fails"]) {
        assert.equal(rows[path].level, "ERROR");
        assert.equal(rows[path].status_message, "it failed");
      }
      assert.equal(rows.model.level, "ERROR");
      assert.match(rows.model.status_message, /slow down/);
      assert.equal(said(rows.model, "cost_details").total, 0);
      assert.equal(rows.stream.level, "ERROR");
      assert.equal(rows.stream.output, "Forty-two, ");
    });

    test("retrievers, agents and hidden runs", async () => {
      class Shelf extends BaseRetriever {
        lc_namespace = ["test"];
        async _getRelevantDocuments() {
          return [new Document({ pageContent: "page", metadata: { n: 1 } })];
        }
      }
      const { paths, config, handler } = setup();
      await new Shelf().invoke("query", config("retriever"));
      await RunnableLambda.from((x) => x).invoke("x", config("An Agent", { tags: ["langsmith:hidden"] }));
      handler.handleChainStart({ id: ["a", "Executor"] }, { input: "q" }, "run-1");
      handler.handleAgentAction({ tool: "search", toolInput: "x", log: "" }, "run-1");
      handler.handleChainEnd({ output: "done" }, "run-1");
      const rows = await paths();
      assert.deepEqual([rows.retriever.type, rows.retriever.input], ["retriever", "query"]);
      assert.deepEqual(said(rows.retriever, "output")[0].pageContent, "page");
      assert.deepEqual([rows["An Agent"].type, rows["An Agent"].level], ["agent", "DEBUG"]);
      assert.deepEqual([rows.Executor.type, rows.Executor.output], ["agent", "done"]);
    });

    test("parallel runs stay apart, below what is current", async () => {
      const { client, list, paths, config } = setup({ userId: "u9", tags: ["t9"] });
      const slow = (name) => RunnableLambda.from(async (x) => (await pause(5), x)).withConfig({ runName: name });
      await client.startActiveObservation("outer", () => RunnableParallel.from({ a: slow("one"), b: slow("two") }).invoke(1, config("parallel")));
      const rows = await paths();
      assert.ok(rows["outer/parallel/one"] && rows["outer/parallel/two"], Object.keys(rows).join(" "));
      for (const path of ["outer/parallel", "outer/parallel/one", "outer/parallel/two"]) {
        assert.deepEqual([rows[path].attributes["user.id"], rows[path].attributes["langfuse.trace.tags"]], ["u9", ["t9"]], path);
      }
      const chain = slow("step").pipe(slow("other"));
      await Promise.all(Array.from({ length: 20 }, (_, at) => chain.invoke(at, config(`root ${at}`))));
      const all = await list();
      const roots = all.filter((row) => row.name.startsWith("root "));
      assert.equal(new Set(roots.map((row) => row.trace_id)).size, 20);
      for (const root of roots) {
        assert.equal(root.parent, null);
        assert.equal(all.filter((row) => row.parent === root.span_id && row.trace_id === root.trace_id).length, 2);
      }
    });

    test("LangGraph: agents, tools and what their code traces", async () => {
      const { client, chat, paths, config } = setup();
      const api = observeOpenAI(new openai.OpenAI({ apiKey: "k", baseURL: server.url, maxRetries: 0 }), { client });
      const weather = tool(
        async ({ city }) => {
          await pause(1);
          return t.startActiveObservation("inside", async (observation) => {
            observation.update({ output: city });
            await api.chat.completions.create({ model: "fake", messages: [] });
            return `sun in ${city}`;
          });
        },
        { name: "weather", description: "tells", schema: z.object({ city: z.string() }) },
      );
      const model = chat("calls").bindTools([weather]);
      const graph = new StateGraph(MessagesAnnotation)
        .addNode("think", async (state) => ({ messages: [await model.invoke(state.messages)] }))
        .addNode("act", new ToolNode([weather]))
        .addEdge(START, "think")
        .addConditionalEdges("think", (state) => (state.messages.at(-1).tool_calls?.length ? "act" : END))
        .addEdge("act", "think")
        .compile();
      const result = await graph.invoke({ messages: [new HumanMessage("Oslo?")] }, config("graph"));
      assert.equal(result.messages.at(-1).content, ANSWER);
      const rows = await paths();
      const names = Object.keys(rows);
      assert.ok(names.includes("graph/think/ChatOpenAI"), names.join("\n"));
      const inside = names.find((name) => name.endsWith("/weather/inside"));
      assert.ok(inside?.startsWith("graph/act"), names.join("\n"));
      assert.ok(names.includes(`${inside}/OpenAI.chat`), names.join("\n"));
      assert.deepEqual(said(rows.graph, "input"), [{ role: "user", content: "Oslo?" }]);
      assert.deepEqual(
        said(rows.graph, "output").messages.map((message) => message.role),
        ["user", "assistant", "tool", "assistant"],
      );
      assert.equal(new Set(Object.values(rows).map((row) => row.trace_id)).size, 1);
    });

    test("an interrupt is no error, and a resumed thread goes on in its trace", async () => {
      const { paths, list, config, handler } = setup();
      const graph = new StateGraph(MessagesAnnotation)
        .addNode("ask", () => ({ messages: [new AIMessage(`you said ${interrupt("which?")}`)] }))
        .addEdge(START, "ask")
        .addEdge("ask", END)
        .compile({ checkpointer: new MemorySaver() });
      const thread = { configurable: { thread_id: `thread-${version}` } };
      await graph.invoke({ messages: [new HumanMessage("hi")] }, config("graph", thread));
      const trace = handler.last_trace_id;
      await graph.invoke(new Command({ resume: "yes" }), config("resumed", thread));
      assert.equal(handler.last_trace_id, trace);
      await graph.invoke({ messages: [new HumanMessage("hi")] }, config("again", { configurable: { thread_id: "other" } }));
      assert.notEqual(handler.last_trace_id, trace);
      const rows = await list();
      assert.ok(rows.every((row) => row.level !== "ERROR"), JSON.stringify(rows.map((row) => [row.name, row.level, row.status_message])));
      const resumed = rows.find((row) => row.name === "resumed");
      assert.equal(resumed.parent, rows.find((row) => row.name === "graph").span_id);
      assert.ok((await paths())["graph/resumed/ask"]);
    });

    test("nothing throws, whatever LangChain reports", async () => {
      const { handler, chat, list } = setup();
      await lines(async () => {
        for (const method of Object.getOwnPropertyNames(CallbackHandler.prototype).filter((name) => name.startsWith("handle"))) {
          handler[method]();
          handler[method](null, null, "unknown", "parent");
          handler[method]({ id: 5 }, { get messages() { throw new Error("no"); } }, `odd ${method}`, undefined, 5, "tags", 7);
        }
      });
      // Twice the same handler: each run once.
      await chat().invoke("x", { callbacks: [handler, handler], runName: "once" });
      const own = await list();
      assert.equal(own.filter((row) => row.name === "once").length, 1);
      assert.equal(handler.evictedRuns, 0);
    });

    test("runs that never end are bounded and counted", async () => {
      const { handler, list } = setup();
      const told = await lines(() => {
        for (let at = 0; at < 10_001; at += 1) {
          handler.handleChainStart({ id: ["Chain"] }, { at }, `run-${at}`);
        }
      });
      assert.equal(handler.evictedRuns, 626);
      assert.ok(told.length <= 1);
      handler.handleChainEnd({ output: "late" }, "run-0");
      handler.handleChainEnd({ output: "in time" }, "run-10000");
      const rows = await list();
      const unseen = rows.filter((row) => row.level === "WARNING");
      assert.ok(rows.length >= 627 || rows.length === 1000, `${rows.length}`);
      assert.ok(unseen.length > 0 && unseen.every((row) => row.status_message === "the end of this run was never reported"));
    });

    test("it is a handler as LangChain's own are", async () => {
      const handler = new CallbackHandler();
      class Plain extends BaseCallbackHandler {
        name = "plain";
      }
      const plain = new Plain();
      for (const name of ["lc_namespace", "lc_id", "lc_serializable", "ignoreLLM", "ignoreChain", "ignoreAgent", "ignoreRetriever", "raiseError", "awaitHandlers", "lc_kwargs"]) {
        assert.equal(typeof handler[name], typeof plain[name], name);
      }
      assert.equal(handler.copy(), handler);
      assert.ok(JSON.stringify(handler).includes("not_implemented"));
    });
  });
}
