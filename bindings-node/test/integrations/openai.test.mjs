// The wrapper of OpenAI's package: the real package, of several versions, against a server with the real wire and the real collector.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { observeOpenAI } from "tracespool/openai";
import { collector, freshKey, run } from "../collector.mjs";
import { fresh, lines, said } from "../fresh.mjs";
import { ANSWER, openaiServer, PIXEL } from "./openai_server.mjs";

const MESSAGES = [
  { role: "system", content: "be brief" },
  { role: "user", content: "what is it? é" },
];
const TOOLS = [{ type: "function", function: { name: "weather", parameters: { type: "object" } } }];
const COUNTS = { input: 7, output: 5, total: 18, input_cached_tokens: 4, output_reasoning_tokens: 2 };
const SCHEMA = {
  type: "json_schema",
  json_schema: { name: "number", strict: true, schema: { type: "object", properties: { number: { type: "number" } }, required: ["number"], additionalProperties: false } },
};

let store;
let server;
before(async () => {
  store = await collector();
  server = await openaiServer();
});
after(() => server.close());

for (const place of (process.env.PLACES ?? "./current/ ./earlier/").split(" ")) {
  const require = createRequire(new URL(place, import.meta.url));
  const { OpenAI, AzureOpenAI } = require("openai");
  const version = JSON.parse(readFileSync(new URL(`${place}node_modules/openai/package.json`, import.meta.url))).version;
  const early = version.startsWith("4.");

  describe(`openai ${version}`, () => {
    /** An observed client of a fresh key, and what was stored of it in the order of time. */
    function setup(config = {}, options = {}) {
      const { client, key } = fresh(store, options);
      const sdk = new OpenAI({ apiKey: "sk-openai-secret", baseURL: server.url, maxRetries: 0, timeout: 10_000 });
      server.requests.length = 0;
      const sent = async () => {
        const report = await client.flush({ timeout: 5000 });
        assert.equal(report.complete, true, JSON.stringify(report));
        return (await store.list(key)).sort((one, other) => one.start_ns - other.start_ns);
      };
      const only = async () => {
        const rows = await sent();
        assert.equal(rows.length, 1, JSON.stringify(rows.map((row) => row.name)));
        return rows[0];
      };
      return { sdk, client, api: observeOpenAI(sdk, { client, ...config }), sent, only };
    }

    test("a chat", async () => {
      const { api, only } = setup({
        traceName: "trace",
        sessionId: "s1",
        userId: "u1",
        tags: ["a", "b"],
        generationMetadata: { plan: "pro", n: 3 },
        langfusePrompt: { name: "greet", version: 3, isFallback: false },
      });
      const answer = await api.chat.completions.create({ model: "fake", messages: MESSAGES, temperature: 0.5, max_completion_tokens: 9, stop: ["x"] });
      assert.equal(answer.choices[0].message.content, ANSWER);
      assert.equal(answer._request_id, "req_1");
      assert.deepEqual(server.requests[0].body, { model: "fake", messages: MESSAGES, temperature: 0.5, max_completion_tokens: 9, stop: ["x"] });
      const row = await only();
      assert.equal(row.name, "OpenAI.chat");
      assert.equal(row.type, "generation");
      assert.deepEqual(said(row, "input"), { messages: MESSAGES });
      assert.deepEqual(said(row, "output"), { role: "assistant", content: ANSWER, refusal: null });
      assert.equal(row.model, "fake-2026-01-01");
      assert.deepEqual(said(row, "model.parameters"), { temperature: 0.5, max_completion_tokens: 9, stop: ["x"], service_tier: "default" });
      assert.deepEqual(said(row, "usage_details"), COUNTS);
      assert.deepEqual([row.metadata.plan, row.metadata.n], ["pro", 3]);
      assert.deepEqual([row.prompt_name, row.prompt_version], ["greet", 3]);
      assert.deepEqual([row.attributes["user.id"], row.attributes["session.id"], row.attributes["langfuse.trace.name"]], ["u1", "s1", "trace"]);
      assert.deepEqual(row.attributes["langfuse.trace.tags"], ["a", "b"]);
    });

    test("the other APIs", async () => {
      const { api, sent } = setup();
      await api.completions.create({ model: "fake", prompt: "once" });
      const embeddings = await api.embeddings.create({ model: "fake", input: ["a", "b"], dimensions: 3 });
      assert.deepEqual(Array.from(embeddings.data[0].embedding), [0.5, 0.25, 0.125]);
      const response = await api.responses.create({ model: "fake", input: "what?", instructions: "be brief", reasoning: { effort: "low" } });
      assert.equal(response.output_text, ANSWER);
      await api.responses.create({ model: "calls", input: "what?", tools: TOOLS });
      const image = await api.images.generate({ model: "fake", prompt: "a cat", size: "1024x1024" });
      assert.equal(image.data[0].b64_json, PIXEL);
      const [completion, embedding, answer, called, picture] = await sent();
      assert.deepEqual([completion.name, completion.input, completion.output], ["OpenAI.completions", "once", ANSWER]);
      assert.equal(embedding.type, "embedding");
      assert.deepEqual(said(embedding, "input"), ["a", "b"]);
      assert.deepEqual(said(embedding, "output"), { dimensions: 3, count: 2 });
      assert.deepEqual(said(embedding, "usage_details"), { input: 5 });
      assert.deepEqual([answer.name, answer.input, answer.output], ["OpenAI.responses", "what?", ANSWER]);
      assert.equal(answer.metadata.instructions, "be brief");
      assert.equal(said(answer, "model.parameters").reasoning_effort, "low");
      assert.deepEqual(said(answer, "usage_details"), COUNTS);
      assert.equal(said(called, "output").name, "weather");
      assert.deepEqual(JSON.parse(called.metadata.tools), TOOLS);
      assert.equal(picture.input, "a cat");
      assert.match(said(picture, "output").b64_json, /^@@@langfuseMedia:type=image\/png\|id=/);
      assert.deepEqual(said(picture, "usage_details"), { input: 0, output: 20, total: 23, input_text_tokens: 3, input_image_tokens: 0 });
    });

    test("tools, several choices, schemas and refusals", async () => {
      const { api, sent } = setup();
      await api.chat.completions.create({ model: "calls", messages: MESSAGES, tools: TOOLS, tool_choice: "auto" });
      await api.chat.completions.create({ model: "fake", messages: MESSAGES, n: 2 });
      const { parse } = early ? api.beta.chat.completions : api.chat.completions;
      assert.equal(typeof parse, "function");
      const parsed = await (early ? api.beta : api).chat.completions.parse({ model: "fake", messages: MESSAGES, response_format: SCHEMA });
      assert.deepEqual(JSON.parse(parsed.choices[0].message.content), { number: 42 });
      await api.chat.completions.create({ model: "refuses", messages: MESSAGES });
      const response = await api.responses.parse({ model: "fake", input: "x", text: { format: { type: "json_schema", name: "n", schema: {} } } });
      assert.ok("output_parsed" in response);
      const [tool, two, schema, refusal, format] = await sent();
      assert.deepEqual(said(tool, "input"), { messages: MESSAGES, tools: TOOLS, tool_choice: "auto" });
      assert.equal(said(tool, "output").tool_calls[0].function.arguments, '{"city": "Oslo"}');
      assert.equal(said(two, "output").length, 2);
      assert.equal(said(two, "model.parameters").n, 2);
      assert.equal(said(schema, "output").content, '{"number": 42}');
      assert.deepEqual(JSON.parse(schema.metadata.response_format), SCHEMA);
      assert.equal(said(refusal, "output").refusal, "I will not.");
      assert.equal(format.output, '{"number": 42}');
      assert.equal(JSON.parse(format.metadata.text_format).name, "n");
    });

    test("what the package's promises can do", async () => {
      const { api, sent, sdk } = setup();
      const ask = () => api.chat.completions.create({ model: "fake", messages: MESSAGES });
      assert.equal(ask().constructor, sdk.chat.completions.create({ model: "fake", messages: MESSAGES }).constructor);
      const { data, response, request_id: id } = await ask().withResponse();
      assert.deepEqual([data.choices[0].message.content, response.status, id], [ANSWER, 200, "req_1"]);
      assert.equal((await (await ask().asResponse()).json()).choices[0].message.content, ANSWER);
      assert.match(await (await ask().asResponse()).text(), /Forty-two/);
      assert.equal(await ask()._thenUnwrap((answer) => answer.choices[0].finish_reason), "stop");
      assert.equal((await ask().finally(() => {})).choices.length, 1);
      const rows = (await sent()).filter((row) => row.output !== null);
      assert.equal(rows.length, 5);
      for (const row of rows) {
        assert.equal(said(row, "output").content, ANSWER);
        assert.deepEqual(said(row, "usage_details"), COUNTS);
      }
    });

    test("what is no call to a model is left as it is", async () => {
      const { api, sdk, sent } = setup();
      assert.ok(api instanceof OpenAI);
      assert.equal(api.chat, api.chat);
      assert.equal(api.chat.completions.create, api.chat.completions.create);
      assert.equal(api.apiKey, sdk.apiKey);
      assert.equal(api.models, sdk.models);
      assert.equal(api.chat.completions.list, sdk.chat.completions.list);
      assert.deepEqual((await api.models.list()).data.map((model) => model.id), ["one", "two"]);
      const ids = [];
      for await (const file of api.files.list()) {
        ids.push(file.id);
      }
      assert.deepEqual(ids, ["file_1", "file_2", "file_3"]);
      assert.equal((await api.get("/models")).data.length, 2);
      assert.equal((await api.moderations.create({ input: "x" })).results[0].flagged, false);
      api.timeout = 1234;
      assert.equal(sdk.timeout, 1234);
      assert.deepEqual(await sent(), []);
      assert.equal((await sdk.chat.completions.create({ model: "fake", messages: MESSAGES })).choices.length, 1);
      assert.deepEqual(await sent(), [], "the client itself is not changed");
    });

    test("a streamed chat", async () => {
      const { api, only } = setup();
      const stream = await api.chat.completions.create({ model: "fake", messages: MESSAGES, stream: true, stream_options: { include_usage: true } });
      assert.ok(stream.controller instanceof AbortController);
      let text = "";
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
      }
      assert.equal(text, ANSWER);
      const row = await only();
      assert.equal(row.output, ANSWER);
      assert.equal(row.model, "fake-2026-01-01");
      assert.deepEqual(said(row, "usage_details"), COUNTS);
      assert.equal(row.metadata.finish_reason, "stop");
      assert.ok(row.start < row.completion_start && row.completion_start < row.end, `${row.start} ${row.completion_start} ${row.end}`);
    });

    test("other streams", async () => {
      const { api, sent } = setup();
      const drain = async (request) => {
        for await (const _ of await request);
      };
      await drain(api.chat.completions.create({ model: "calls", messages: MESSAGES, stream: true, parallel_tool_calls: true }));
      await drain(api.chat.completions.create({ model: "refuses", messages: MESSAGES, stream: true }));
      await drain(api.chat.completions.create({ model: "fake", messages: MESSAGES, stream: true, n: 2 }));
      await drain(api.completions.create({ model: "fake", prompt: "once", stream: true }));
      await drain(api.responses.create({ model: "fake", input: "x", stream: true }));
      const [tool, refusal, two, completion, response] = await sent();
      assert.deepEqual(said(tool, "output"), {
        role: "assistant",
        content: "",
        tool_calls: [
          { id: "call_1", type: "function", function: { name: "weather", arguments: '{"city": "Oslo"}' } },
          { id: "call_2", type: "function", function: { name: "clock", arguments: "{}" } },
        ],
      });
      assert.equal(said(refusal, "output").refusal, "I will not.");
      assert.deepEqual(said(two, "output"), [ANSWER, ANSWER]);
      assert.deepEqual([completion.output, response.output], [ANSWER, ANSWER]);
      assert.deepEqual(said(response, "usage_details"), COUNTS);
      assert.equal(response.metadata.status, "completed");
    });

    test("tee, toReadableStream and withResponse of a stream", async () => {
      const { api, sent } = setup();
      const ask = () => api.chat.completions.create({ model: "fake", messages: MESSAGES, stream: true });
      const [left, right] = (await ask()).tee();
      const read = async (stream) => {
        let text = "";
        for await (const chunk of stream) {
          text += chunk.choices[0].delta.content ?? "";
        }
        return text;
      };
      assert.deepEqual(await Promise.all([read(left), read(right)]), [ANSWER, ANSWER]);
      const lines = await new Response((await ask()).toReadableStream()).text();
      assert.equal(lines.trim().split("\n").length, 7);
      const { data, response } = await ask().withResponse();
      assert.equal(response.status, 200);
      assert.equal(await read(data), ANSWER);
      const rows = await sent();
      assert.deepEqual(rows.map((row) => row.output), [ANSWER, ANSWER, ANSWER]);
    });

    test("a raw stream", { skip: early && "node-fetch's bodies are Node's: only their end is seen" }, async () => {
      const { api, sent } = setup();
      const ask = () => api.chat.completions.create({ model: "fake", messages: MESSAGES, stream: true, stream_options: { include_usage: true } });
      const text = await new Response((await ask().asResponse()).body).text();
      assert.equal(text.match(/data: \{/g).length, 8);
      const reader = (await ask().asResponse()).body.getReader();
      await reader.read();
      await reader.read();
      await reader.cancel();
      const [all, some] = await sent();
      assert.equal(all.output, ANSWER);
      assert.deepEqual(said(all, "usage_details"), COUNTS);
      assert.ok(all.completion_start >= all.start);
      assert.ok(ANSWER.startsWith(some.output ?? ""));
    });

    test("a stream that is left keeps what had come", async () => {
      const { api, sent } = setup();
      const { open } = server;
      const ask = (model = "fake") => api.chat.completions.create({ model, messages: MESSAGES, stream: true });
      let seen = 0;
      for await (const _ of await ask()) {
        if (++seen === 3) {
          break;
        }
      }
      for await (const event of await api.responses.create({ model: "fake", input: "x", stream: true })) {
        if (event.type === "response.output_text.delta") {
          break;
        }
      }
      const hanging = await ask("hangs");
      setTimeout(() => hanging.controller.abort(), 50);
      for await (const _ of hanging);
      const unread = await ask("hangs");
      unread.controller.abort();
      const rows = await sent();
      assert.deepEqual(rows.map((row) => row.output), ["Forty-two, ", "Forty-", "Forty-two, ", null]);
      assert.ok(rows.every((row) => row.level === "DEFAULT" || row.level === null), JSON.stringify(rows.map((row) => row.level)));
      for (let tries = 0; tries < 100 && server.open > open; tries += 1) {
        await pause(20);
      }
      assert.equal(server.open, open, "the requests are aborted");
    });

    test("a stream that is forgotten", async () => {
      const { api, only } = setup();
      await (async () => {
        const stream = await api.chat.completions.create({ model: "hangs", messages: MESSAGES, stream: true });
        const iterator = stream[Symbol.asyncIterator]();
        await iterator.next();
        await iterator.next();
        stream.controller.signal.dispatchEvent(new Event("kept"));
      })();
      // The package holds on to the stream of a request that is still going: what is let go of is ended once it is collected.
      assert.equal(typeof gc, "function", "run with --expose-gc");
      let rows = [];
      for (let tries = 0; tries < 50 && rows.length === 0; tries += 1) {
        gc();
        await pause(20);
        rows = [await only().catch(() => null)].filter(Boolean);
      }
      assert.equal(rows[0]?.output, "Forty-");
    });

    test("what is still in use is not forgotten", async () => {
      const { api, sent } = setup();
      const timer = setInterval(gc, 1);
      const slow = { model: "fake", messages: MESSAGES };
      const parsed = (early ? api.beta : api).chat.completions.parse(slow);
      const read = async (stream) => {
        for await (const _ of stream) {
          await pause(2);
        }
      };
      const stream = async () => (await api.chat.completions.create({ ...slow, stream: true })).toReadableStream();
      const body = async () => (await api.chat.completions.create({ ...slow, stream: !early }).asResponse()).body;
      await Promise.all([parsed, read(await stream()), (await api.chat.completions.create({ ...slow, stream: true })).tee().map(read)[0], read(await body())]);
      clearInterval(timer);
      const rows = await sent();
      assert.equal(rows.length, 4);
      assert.deepEqual(rows.map((row) => said(row, "output")?.content ?? row.output), [ANSWER, ANSWER, ANSWER, early ? null : ANSWER]);
    });

    test("streams leave nothing behind", async () => {
      const { api, client } = setup();
      const chunk = `data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", model: "m", choices: [{ index: 0, delta: { content: "hi" } }] })}\n\n`;
      const answers = async () => new Response(`${chunk.repeat(20)}data: [DONE]\n\n`, { headers: { "content-type": "text/event-stream" } });
      const local = observeOpenAI(new OpenAI({ apiKey: "k", baseURL: server.url, fetch: answers }), { client });
      const many = async (count) => {
        for (let at = 0; at < count; at += 1) {
          for await (const _ of await local.chat.completions.create({ model: "m", messages: MESSAGES, stream: true })) {
            if (at % 2 === 0) {
              break;
            }
          }
        }
        await client.flush({ timeout: 10_000 });
        for (let times = 0; times < 5; times += 1) {
          gc();
          await pause(20);
        }
        return process.memoryUsage().heapUsed;
      };
      const before = await many(500);
      const grown = (await many(1500)) - before;
      assert.ok(grown < 2_000_000, `${grown} bytes`);
      assert.ok(api);
    });

    test("errors", async () => {
      const { api, sent } = setup();
      const unhandled = [];
      const note = (error) => unhandled.push(error);
      process.on("unhandledRejection", note);
      await assert.rejects(async () => api.chat.completions.create({ model: "fails", messages: MESSAGES }), OpenAI.RateLimitError);
      await assert.rejects(async () => {
        for await (const _ of await api.chat.completions.create({ model: "breaks", messages: MESSAGES, stream: true }));
      }, /it broke/);
      const abort = new AbortController();
      const aborted = api.chat.completions.create({ model: "fake", messages: MESSAGES }, { signal: abort.signal });
      abort.abort();
      await assert.rejects(async () => aborted, OpenAI.APIUserAbortError);
      await assert.rejects(async () => (early ? api.beta : api).chat.completions.parse({ model: "fails", messages: MESSAGES }), /slow down/);
      await pause(20);
      assert.deepEqual(unhandled, []);
      process.off("unhandledRejection", note);
      const [failed, broken, stopped, unparsed] = await sent();
      for (const row of [failed, broken, stopped, unparsed]) {
        assert.equal(row.level, "ERROR");
      }
      assert.match(failed.status_message, /slow down/);
      assert.deepEqual(said(failed, "cost_details"), { input: 0, output: 0, total: 0 });
      assert.match(broken.status_message, /it broke/);
      assert.equal(broken.output, "Forty-two, ");
      assert.ok(broken.completion_start);
      assert.match(stopped.status_message, /abort/);
    });

    test("a rejection that nobody handles stays one", async () => {
      const program = `
        import { createRequire } from "node:module";
        import { Client } from "tracespool";
        import { observeOpenAI } from "tracespool/openai";
        const { OpenAI } = createRequire(process.env.PLACE)("openai");
        process.on("unhandledRejection", (error) => console.log("unhandled", error.constructor.name));
        const api = observeOpenAI(new OpenAI({ apiKey: "k", baseURL: process.env.OPENAI, maxRetries: 0 }), { client: new Client() });
        api.chat.completions.create({ model: "fails", messages: [] });
        await api.chat.completions.create({ model: "fails", messages: [] }).catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, 100));
        process.exit();
      `;
      const key = freshKey();
      const { out, err } = await run(program, { url: store.url, key, env: { PLACE: fileURLToPath(new URL(place, import.meta.url)), OPENAI: server.url } });
      assert.equal(out.trim(), "unhandled RateLimitError", err);
      assert.equal(await store.waitFor(key, 2), 2);
    });

    test("the stream helper", async () => {
      const { api, sent } = setup();
      const helper = (early ? api.beta : api).chat.completions.stream({ model: "fake", messages: MESSAGES });
      const deltas = [];
      helper.on("content", (delta) => deltas.push(delta));
      assert.equal(await helper.finalContent(), ANSWER);
      assert.equal(deltas.join(""), ANSWER);
      const response = api.responses.stream({ model: "fake", input: "x" });
      const kinds = [];
      response.on("event", (event) => kinds.push(event.type));
      assert.equal((await response.finalResponse()).output[0].content[0].text, ANSWER);
      assert.equal(kinds.at(-1), "response.completed");
      const left = (early ? api.beta : api).chat.completions.stream({ model: "hangs", messages: MESSAGES });
      left.on("chunk", () => setTimeout(() => left.abort(), 50));
      await assert.rejects(left.done(), /abort/);
      const rows = await sent();
      assert.deepEqual(rows.map((row) => row.output), [ANSWER, ANSWER, "Forty-two, "]);
    });

    test("runTools: one generation for each request, and the runner's events", async () => {
      const { api, sent, client } = setup();
      const weather = { type: "function", function: { name: "weather", description: "w", parameters: { type: "object", properties: {} }, parse: JSON.parse, function: ({ city }) => `sun in ${city}` } };
      for (const stream of [false, true]) {
        const events = [];
        await client.startActiveObservation("outer", async () => {
          const runner = (early ? api.beta : api).chat.completions.runTools({ model: "calls", messages: MESSAGES, tools: [weather], stream });
          for (const name of ["functionCall", "functionToolCall", "functionCallResult", "functionToolCallResult"]) {
            runner.on(name, (value) => events.push(value));
          }
          assert.equal(await runner.finalContent(), ANSWER);
        });
        assert.ok(events.includes("sun in Oslo"), JSON.stringify(events));
      }
      const rows = await sent();
      const outer = rows.filter((row) => row.name === "outer");
      assert.equal(rows.length, 6);
      for (const each of outer) {
        const [asked, answered] = rows.filter((row) => row.parent === each.span_id);
        assert.equal(said(asked, "output").tool_calls[0].function.name, "weather");
        assert.equal(said(answered, "input").messages.at(-1).content, "sun in Oslo");
        assert.equal(said(answered, "output").content ?? answered.output, ANSWER);
      }
    });

    test("Azure's client", async () => {
      const { client, only } = setup();
      const azure = observeOpenAI(
        new AzureOpenAI({ apiKey: "k", endpoint: server.url.replace("/v1", ""), apiVersion: "2024-10-21", deployment: "deployed", maxRetries: 0 }),
        { client },
      );
      await azure.chat.completions.create({ model: "fake", messages: MESSAGES });
      assert.equal(server.requests[0].path, "/openai/deployments/deployed/chat/completions");
      const row = await only();
      assert.equal(row.name, "AzureOpenAI.chat");
      assert.equal(row.model, "fake-2026-01-01");
    });

    test("where a call goes", async () => {
      const { api, sdk, client, sent } = setup();
      await client.startActiveObservation("outer", () => api.chat.completions.create({ model: "fake", messages: MESSAGES }));
      const parentSpanContext = { traceId: "0123456789abcdef0123456789abcdef", spanId: "0123456789abcdef" };
      await observeOpenAI(sdk, { client, parentSpanContext, generationName: "told" }).chat.completions.create({ model: "fake", messages: MESSAGES });
      await client.use(() => observeOpenAI(sdk, { generationName: "current" }).chat.completions.create({ model: "fake", messages: MESSAGES }));
      await observeOpenAI(api, { generationName: "again" }).chat.completions.create({ model: "fake", messages: MESSAGES });
      if (typeof api.withOptions === "function") {
        await api.withOptions({ timeout: 5000 }).chat.completions.create({ model: "fake", messages: MESSAGES });
      }
      const rows = Object.fromEntries((await sent()).map((row) => [row.name, row]));
      assert.deepEqual(Object.keys(rows).sort(), ["OpenAI.chat", "again", "current", "outer", "told"]);
      assert.deepEqual([rows.told.trace_id, rows.told.parent], [parentSpanContext.traceId, parentSpanContext.spanId]);
    });

    test("odd arguments cost nothing but a line", async () => {
      const { sdk, client, sent } = setup();
      const told = await lines(async () => {
        const api = observeOpenAI(sdk, { client, tags: "x", langfusePrompt: 5, generationMetadata: "m", parentSpanContext: { traceId: "short" }, userId: "u".repeat(300) });
        assert.equal((await api.chat.completions.create({ model: "fake", messages: MESSAGES })).choices.length, 1);
        assert.equal(observeOpenAI(undefined), undefined);
      });
      assert.ok(early || told.length >= 3, told.join("\n"));
      assert.equal((await sent()).length, 1);
      await observeOpenAI(sdk, { client: fresh(store, { tracingEnabled: false }).client }).chat.completions.create({ model: "fake", messages: MESSAGES });
    });
  });
}
