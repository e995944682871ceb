/** What a run says of the model that it calls: its name, its parameters, and the tokens that were counted. */

type Fields = Record<string, unknown>;

export function part(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Fields)[name] : undefined;
}

/** Parameters of an invocation that say how the model answers; providers write them in either way. */
const PARAMETERS = [
  "temperature",
  "max_tokens",
  "max_completion_tokens",
  "max_output_tokens",
  "maxTokens",
  "maxOutputTokens",
  "top_p",
  "topP",
  "top_k",
  "topK",
  "frequency_penalty",
  "presence_penalty",
  "request_timeout",
  "seed",
  "n",
  "stop",
  "stop_sequences",
  "stopSequences",
  "reasoning_effort",
  "service_tier",
];

/** Where an invocation, or the object that is called, keeps its model. */
const MODELS = ["model", "model_name", "modelName", "model_id", "modelId", "deployment_name", "azureOpenAIApiDeploymentName"];

export function parameters(called: unknown): Fields {
  const said: Fields = {};
  for (const name of PARAMETERS) {
    const value = part(called, name);
    if (value !== undefined && value !== null) {
      said[name] = value;
    }
  }
  return said;
}

/** The model of a run that begins. */
export function nameOf(serialized: unknown, metadata: unknown, called: unknown): string | undefined {
  const places = [called, { model: part(metadata, "ls_model_name") }, part(serialized, "kwargs")];
  for (const place of places) {
    for (const name of MODELS) {
      const found = part(place, name);
      if (typeof found === "string" && found !== "") {
        return found;
      }
    }
  }
  return undefined;
}

/** Later names win where a provider reports both. */
const NAMES: [string, string][] = [
  ["input_tokens", "input"],
  ["output_tokens", "output"],
  ["total_tokens", "total"],
  ["prompt_tokens", "input"],
  ["completion_tokens", "output"],
  ["promptTokens", "input"],
  ["completionTokens", "output"],
  ["totalTokens", "total"],
  ["inputTokens", "input"],
  ["outputTokens", "output"],
  ["promptTokenCount", "input"],
  ["candidatesTokenCount", "output"],
  ["totalTokenCount", "total"],
  ["inputTokenCount", "input"],
  ["outputTokenCount", "output"],
  ["input_token_count", "input"],
  ["generated_token_count", "output"],
];

/** Details, and the sums that they are part of: they become keys of their own, since servers add all keys up. */
const DETAILS: [string, "input" | "output"][] = [
  ["input_token_details", "input"],
  ["output_token_details", "output"],
  ["prompt_tokens_details", "input"],
  ["completion_tokens_details", "output"],
  ["input_tokens_details", "input"],
  ["output_tokens_details", "output"],
];

/** Counts under the names that servers price; `undefined` where nothing counts. */
export function counts(used: unknown): Fields | undefined {
  if (typeof used !== "object" || used === null) {
    return undefined;
  }
  const told: Record<string, number> = {};
  for (const [name, value] of Object.entries(used as Fields)) {
    if (typeof value === "number") {
      told[name] = value;
    }
  }
  for (const [name, ours] of NAMES) {
    const count = told[name];
    if (count !== undefined) {
      delete told[name];
      told[ours] = count;
    }
  }
  for (const [name, side] of DETAILS) {
    for (const [key, count] of Object.entries((part(used, name) ?? {}) as Fields)) {
      if (typeof count !== "number") {
        continue;
      }
      told[`${side}_${key}`] = count;
      const sum = told[side];
      // A priority tier is no part but a way of billing.
      if (sum !== undefined && key !== "priority" && !key.startsWith("priority_")) {
        told[side] = Math.max(0, sum - count);
      }
    }
  }
  return Object.keys(told).length > 0 ? told : undefined;
}

/** What a generation says of the tokens, wherever its provider has put them. */
function usageOf(generation: unknown): Fields | undefined {
  const message = part(generation, "message");
  const said = part(message, "response_metadata");
  for (const place of [
    part(message, "usage_metadata"),
    part(part(generation, "generationInfo"), "usage_metadata"),
    part(said, "tokenUsage"),
    part(said, "usage"),
    part(said, "amazon-bedrock-invocationMetrics"),
  ]) {
    const found = counts(place);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}

/** The generation that is shown, the model that the provider names, and what it counted. */
export function readAnswer(result: unknown): { generation: unknown; model: string | undefined; usage: Fields | undefined } {
  const batches = part(result, "generations");
  let generation: unknown;
  let usage: Fields | undefined;
  for (const batch of Array.isArray(batches) ? batches : []) {
    for (const each of Array.isArray(batch) ? batch : []) {
      generation = each;
      usage = usageOf(each) ?? usage;
    }
  }
  const output = part(result, "llmOutput");
  usage ??= counts(part(output, "tokenUsage")) ?? counts(part(output, "usage")) ?? counts(part(output, "estimatedTokenUsage"));
  const said = part(part(generation, "message"), "response_metadata");
  const model = [part(said, "model_name"), part(said, "model"), part(output, "model_name"), part(output, "model")].find(
    (name): name is string => typeof name === "string" && name !== "",
  );
  return { generation, model, usage };
}
