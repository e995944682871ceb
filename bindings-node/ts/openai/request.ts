/** What a call says of its observation before it is answered. The wire names are OpenAI's, the fields those of `@langfuse/openai`. */

/** The APIs whose calls are recorded. */
export type Kind = "chat" | "completion" | "responses" | "embedding" | "image";

export type Fields = Record<string, unknown>;

/** Parameters that say how the model answers, as they are passed. */
const PARAMETERS = [
  "frequency_penalty",
  "logit_bias",
  "logprobs",
  "max_tokens",
  "max_completion_tokens",
  "max_output_tokens",
  "n",
  "presence_penalty",
  "reasoning_effort",
  "seed",
  "service_tier",
  "stop",
  "store",
  "stream",
  "temperature",
  "top_logprobs",
  "top_p",
  "truncation",
  "user",
  "verbosity",
  "dimensions",
  "encoding_format",
  "background",
  "output_format",
  "quality",
  "size",
  "style",
];

/** What a call to the chat API asks beside its messages. */
const WITH_MESSAGES = ["function_call", "functions", "tools", "tool_choice"];

/** What a call to the Responses API asks beside its input; the answer repeats it. */
const WITH_INPUT = ["instructions", "previous_response_id", "tools"];

/** A member, whatever the value is. */
export function part(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Fields)[name] : undefined;
}

/** Whether a value says anything. */
export function says(value: unknown): boolean {
  if (value === undefined || value === null || value === "") {
    return false;
  }
  return typeof value !== "object" || Object.values(value).some((member) => member !== undefined && member !== null);
}

/** What the model is asked. */
export function input(kind: Kind, body: unknown): unknown {
  if (kind === "chat") {
    const asked: Fields = { messages: part(body, "messages") };
    for (const name of WITH_MESSAGES) {
      const value = part(body, name);
      if (value !== undefined) {
        asked[name] = value;
      }
    }
    return asked;
  }
  return part(body, kind === "completion" || kind === "image" ? "prompt" : "input");
}

export function parameters(body: unknown): Fields {
  const said: Fields = {};
  for (const name of PARAMETERS) {
    const value = part(body, name);
    if (value !== undefined && value !== null) {
      said[name] = value;
    }
  }
  const reasoning = part(body, "reasoning");
  for (const [name, value] of [
    ["reasoning_effort", part(reasoning, "effort")],
    ["reasoning_summary", part(reasoning, "summary")],
    ["verbosity", part(part(body, "text"), "verbosity")],
  ] as const) {
    if (says(value)) {
      said[name] = value;
    }
  }
  return said;
}

/** The call's metadata: that of the configuration, and the schema that the answer has to follow. */
export function metadata(kind: Kind, body: unknown, configured: unknown): Fields {
  const said: Fields = typeof configured === "object" && configured !== null ? { ...configured } : {};
  const format = part(body, "response_format");
  if (says(format)) {
    said["response_format"] = format;
  }
  if (kind === "responses") {
    const text = part(part(body, "text"), "format");
    if (says(text)) {
      said["text_format"] = text;
    }
    for (const name of WITH_INPUT) {
      const value = part(body, name);
      if (says(value)) {
        said[name] = value;
      }
    }
  }
  return said;
}
