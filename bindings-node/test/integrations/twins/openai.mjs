// One program for both libraries: `node openai.mjs langfuse|tracespool OPENAI_URL`.
import { createRequire } from "node:module";

const [, , library, url] = process.argv;
const require = createRequire(new URL("../current/", import.meta.url));
const { OpenAI, AzureOpenAI } = require("openai");
const sdk = new OpenAI({ apiKey: "sk-x", baseURL: url, maxRetries: 0 });
const { api: observe, startActive, finish } = await (await import(`./${library}.mjs`)).start();
const api = (name, more = {}) => observe.observeOpenAI(sdk, { generationName: name, ...more });

const messages = [
  { role: "system", content: "be brief" },
  { role: "user", content: "what is it? é" },
];
const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }];
const schema = { type: "json_schema", json_schema: { name: "number", schema: { type: "object", properties: { number: { type: "number" } } } } };
const drain = async (request) => {
  for await (const _ of await request);
};
const ignore = () => undefined;
/** Helpers of the package that an observed client may have lost. */
const attempt = async (step) => step().catch(ignore);

await observe.observeOpenAI(sdk).chat.completions.create({ model: "fake", messages });
await observe.observeOpenAI(new AzureOpenAI({ apiKey: "k", endpoint: url.replace("/v1", ""), apiVersion: "2024-10-21", maxRetries: 0 })).chat.completions.create({ model: "fake", messages });
const all = { traceName: "trace", sessionId: "s1", userId: "u1", tags: ["a"], generationMetadata: { plan: "pro", n: 3 }, langfusePrompt: { name: "p", version: 3, isFallback: false } };
await api("chat", all).chat.completions.create({ model: "fake", messages, temperature: 0.2, max_completion_tokens: 9, seed: 3, user: "u", stop: ["x"] });
await api("tools").chat.completions.create({ model: "calls", messages, tools, tool_choice: "auto" });
await api("two").chat.completions.create({ model: "fake", messages, n: 2 });
await api("schema").chat.completions.create({ model: "fake", messages, response_format: schema });
await api("parse").chat.completions.parse({ model: "fake", messages, response_format: schema });
await api("refusal").chat.completions.create({ model: "refuses", messages });
await api("completion").completions.create({ model: "fake", prompt: "once" });
await api("embedding").embeddings.create({ model: "fake", input: ["a", "b"], dimensions: 3 });
await api("response").responses.create({ model: "fake", input: "what?", instructions: "brief", max_output_tokens: 5, reasoning: { effort: "low" } });
await api("response tools").responses.create({ model: "calls", input: "what?", tools });
await api("response stream").responses.create({ model: "fake", input: "what?", stream: true }).then(drain);
await api("image").images.generate({ model: "fake", prompt: "a cat", size: "1x1" });
await api("moderation").moderations.create({ input: "x" });
await api("models").models.list();
await startActive("outer", async () => {
  await drain(api("stream").chat.completions.create({ model: "fake", messages, stream: true, stream_options: { include_usage: true } }));
  await drain(api("stream two").chat.completions.create({ model: "fake", messages, stream: true, n: 2 }));
  await drain(api("stream tools").chat.completions.create({ model: "calls", messages, stream: true, parallel_tool_calls: true }));
  await drain(api("stream completion").completions.create({ model: "fake", prompt: "once", stream: true }));
});
await (async () => {
  for await (const chunk of await api("left").chat.completions.create({ model: "hangs", messages, stream: true })) {
    if (chunk.choices[0].delta.content) {
      break;
    }
  }
})();
await Promise.resolve(api("fails").chat.completions.create({ model: "fails", messages })).catch(ignore);
await drain(api("breaks").chat.completions.create({ model: "breaks", messages, stream: true })).catch(ignore);
await attempt(async () => (await api("helper").chat.completions.stream({ model: "fake", messages })).finalContent());
await Promise.resolve(api("raw").chat.completions.create({ model: "fake", messages })).then(ignore);
const weather = { type: "function", function: { name: "weather", description: "w", parameters: { type: "object", properties: {} }, parse: JSON.parse, function: () => "sun" } };
await attempt(async () => (await api("runner").chat.completions.runTools({ model: "calls", messages, tools: [weather] })).finalContent());
await finish();
process.exit();
