// A small OpenAI server: the wire of the chat, completions, responses, embeddings, images, models and files APIs, JSON and SSE; the same
// answers as tests/integrations/openai_server.py.
//
// The model's name says how it behaves: `fails` answers 429, `breaks` streams an error, `hangs` stops in the middle of a stream, `calls`
// asks for a tool until a tool has answered, `refuses` refuses, everything else answers.
import { createServer } from "node:http";

export const ANSWER = "Forty-two, says the fake model: é.";
export const PIECES = ["Forty-", "two, ", "says the ", "fake model", ": é."];
export const USAGE = {
  prompt_tokens: 11,
  completion_tokens: 7,
  total_tokens: 18,
  prompt_tokens_details: { cached_tokens: 4, audio_tokens: null },
  completion_tokens_details: { reasoning_tokens: 2 },
};
export const RESPONSE_USAGE = {
  input_tokens: 11,
  output_tokens: 7,
  total_tokens: 18,
  input_tokens_details: { cached_tokens: 4 },
  output_tokens_details: { reasoning_tokens: 2 },
};
const TOOL_CALL = { id: "call_1", type: "function", function: { name: "weather", arguments: '{"city": "Oslo"}' } };
/** A picture of one pixel. */
export const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** What was asked is in `requests`; `open` counts streams that hang. */
export async function openaiServer() {
  const state = { requests: [], open: 0 };
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request.setEncoding("latin1")) {
      text += chunk;
    }
    text = Buffer.from(text, "latin1").toString();
    const { pathname: path, searchParams } = new URL(request.url, "http://x");
    const body = request.headers["content-type"]?.includes("json") && text !== "" ? JSON.parse(text) : {};
    state.requests.push({ method: request.method, path, body, headers: request.headers });
    const json = (value, status = 200) => {
      response.writeHead(status, { "content-type": "application/json", "x-request-id": "req_1" });
      response.end(JSON.stringify(value));
    };
    if (request.method === "GET") {
      return json(listed(path, searchParams));
    }
    if (body.model === "fails") {
      return json({ error: { message: "slow down", type: "rate_limit", code: "rate_limit_exceeded" } }, 429);
    }
    if (!body.stream) {
      return json(whole(path, body));
    }
    response.writeHead(200, { "content-type": "text/event-stream", "x-request-id": "req_1" });
    response.on("error", () => {});
    let count = 0;
    for (const [event, value] of events(path, body)) {
      let [kind, said] = [event, value];
      if (body.model === "breaks" && count === 3) {
        [kind, said] = ["error", { error: { message: "it broke", type: "server_error" } }];
      }
      if (body.model === "hangs" && count === 3) {
        if (response.destroyed) {
          return;
        }
        state.open += 1;
        const beat = setInterval(() => response.write(": still here\n\n"), 50);
        response.once("close", () => {
          clearInterval(beat);
          state.open -= 1;
        });
        return;
      }
      response.write(`${kind ? `event: ${kind}\n` : ""}data: ${JSON.stringify(said)}\n\n`);
      await pause(2);
      count += 1;
      if (kind === "error") {
        break;
      }
    }
    response.end(path.endsWith("completions") ? "data: [DONE]\n\n" : "");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  /** Ends what hangs: an open request would keep the test's process. */
  state.close = () => server.closeAllConnections();
  state.url = `http://127.0.0.1:${server.address().port}/v1`;
  return state;
}

function listed(path, query) {
  if (path.endsWith("/models")) {
    return { object: "list", data: ["one", "two"].map((id) => ({ id, object: "model", created: 1, owned_by: "x" })) };
  }
  const second = query.get("after") === "file_2";
  const ids = second ? ["file_3"] : ["file_1", "file_2"];
  return { object: "list", data: ids.map((id) => ({ id, object: "file" })), has_more: !second, first_id: ids[0], last_id: ids.at(-1) };
}

/** Each answer has an id of its own: LangGraph tells messages apart by it. */
let answers = 0;

/** An answer in one piece. */
function whole(path, body) {
  answers += 1;
  const model = `${body.model}-2026-01-01`;
  if (path.endsWith("/embeddings")) {
    const vector = [0.5, 0.25, 0.125];
    const embedding = body.encoding_format === "base64" ? Buffer.from(new Float32Array(vector).buffer).toString("base64") : vector;
    const data = [0, 1].map((index) => ({ object: "embedding", index, embedding }));
    return { object: "list", data, model, usage: { prompt_tokens: 5, total_tokens: 5 } };
  }
  if (path.includes("/images/")) {
    const usage = { input_tokens: 3, output_tokens: 20, total_tokens: 23, input_tokens_details: { text_tokens: 3, image_tokens: 0 } };
    return { created: 1700000000, data: [{ b64_json: PIXEL }], output_format: "png", size: "1x1", usage };
  }
  if (path.endsWith("/moderations")) {
    return { id: "m", model, results: [{ flagged: false }] };
  }
  if (path.endsWith("/responses")) {
    return response(body, model, ANSWER);
  }
  if (path.endsWith("/chat/completions")) {
    const text = body.response_format ? '{"number": 42}' : ANSWER;
    let [message, reason] = [{ role: "assistant", content: text, refusal: null }, "stop"];
    if (calls(body)) {
      [message, reason] = [{ role: "assistant", content: null, tool_calls: [TOOL_CALL] }, "tool_calls"];
    } else if (body.model === "refuses") {
      message = { role: "assistant", content: null, refusal: "I will not." };
    }
    const choices = Array.from({ length: body.n ?? 1 }, (_, index) => ({ index, message, finish_reason: reason, logprobs: null }));
    return completion("chat.completion", model, choices, USAGE);
  }
  return completion("text_completion", model, [{ index: 0, text: ANSWER, finish_reason: "stop" }], USAGE);
}

const calls = (body) => body.model === "calls" && !body.messages?.some((message) => message.role === "tool");

/** An answer of the responses API. */
function response(body, model, text, status = "completed") {
  const said = body.text?.format && text ? '{"number": 42}' : text;
  const content = [{ type: "output_text", text: said, annotations: [] }];
  let item = { type: "message", id: "msg_1", status, role: "assistant", content };
  if (body.model === "calls") {
    item = { type: "function_call", id: "fc_1", call_id: "call_1", name: "weather", arguments: '{"city": "Oslo"}', status };
  }
  return {
    id: "resp_1",
    object: "response",
    created_at: 1700000000,
    status,
    model,
    output: text ? [item] : [],
    parallel_tool_calls: true,
    tool_choice: "auto",
    tools: body.tools ?? [],
    temperature: 1,
    top_p: 1,
    error: null,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    metadata: {},
    service_tier: "default",
    usage: text ? RESPONSE_USAGE : null,
  };
}

function completion(object, model, choices, usage) {
  const tier = object.startsWith("chat") ? { service_tier: "default" } : {};
  return { id: `cmpl-${answers}`, object, created: 1700000000, model, choices, ...tier, ...(usage ? { usage } : {}) };
}

/** A streamed answer: names of events and what they carry. */
function* events(path, body) {
  answers += 1;
  const model = `${body.model}-2026-01-01`;
  if (path.endsWith("/responses")) {
    yield* responseEvents(body, model);
    return;
  }
  if (path.includes("/images/")) {
    yield ["image_generation.partial_image", { type: "image_generation.partial_image", partial_image_index: 0, b64_json: PIXEL }];
    const usage = { input_tokens: 3, output_tokens: 20, total_tokens: 23 };
    yield ["image_generation.completed", { type: "image_generation.completed", b64_json: PIXEL, output_format: "png", usage }];
    return;
  }
  const chat = path.endsWith("/chat/completions");
  const object = chat ? "chat.completion.chunk" : "text_completion";
  for (const [said, reason] of chat ? deltas(body) : PIECES.map((piece) => [piece, null])) {
    const choices = Array.from({ length: body.n ?? 1 }, (_, index) => ({ index, finish_reason: reason, ...(chat ? { delta: said } : { text: said }) }));
    yield [null, completion(object, model, choices, null)];
  }
  if (body.stream_options?.include_usage) {
    yield [null, completion(object, model, [], USAGE)];
  }
}

function* deltas(body) {
  yield [{ role: "assistant", content: "" }, null];
  if (calls(body)) {
    const call = (index, id, name) => ({ index, id, type: "function", function: { name, arguments: "" } });
    yield [{ tool_calls: [call(0, "call_1", "weather")] }, null];
    for (const piece of ['{"city"', ': "Oslo"}']) {
      yield [{ tool_calls: [{ index: 0, function: { arguments: piece } }] }, null];
    }
    if (body.parallel_tool_calls) {
      yield [{ tool_calls: [call(1, "call_2", "clock")] }, null];
      yield [{ tool_calls: [{ index: 1, function: { arguments: "{}" } }] }, null];
    }
    yield [{}, "tool_calls"];
    return;
  }
  if (body.model === "refuses") {
    yield [{ refusal: "I will " }, null];
    yield [{ refusal: "not." }, null];
    yield [{}, "stop"];
    return;
  }
  const pieces = body.response_format ? ['{"number"', ": 42}"] : PIECES;
  for (const content of pieces) {
    yield [{ content }, null];
  }
  yield [{}, "stop"];
}

function* responseEvents(body, model) {
  let number = 0;
  const event = (type, more) => [type, { type, sequence_number: number++, ...more }];
  yield event("response.created", { response: response(body, model, "", "in_progress") });
  const item = { type: "message", id: "msg_1", status: "in_progress", role: "assistant", content: [] };
  yield event("response.output_item.added", { output_index: 0, item });
  const place = { item_id: "msg_1", output_index: 0, content_index: 0 };
  yield event("response.content_part.added", { part: { type: "output_text", text: "", annotations: [] }, ...place });
  for (const delta of PIECES) {
    yield event("response.output_text.delta", { delta, logprobs: [], ...place });
  }
  yield event("response.output_text.done", { text: ANSWER, logprobs: [], ...place });
  yield event("response.completed", { response: response(body, model, ANSWER) });
}
