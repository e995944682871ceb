/** What OpenAI answered, as attributes of the observation. */
import { type Fields, type Kind, part, says } from "./request.js";

/** What an answer of the Responses API says of how it was made. */
const PARAMETERS = ["max_output_tokens", "parallel_tool_calls", "service_tier", "store", "temperature", "tool_choice", "top_p", "truncation", "user"];
const METADATA = ["reasoning", "incomplete_details", "instructions", "previous_response_id", "tools", "metadata", "status", "error"];

/** Counts under the names that servers price: details are counted apart, and taken out of the sum that they are part of. */
export function usage(used: unknown): Fields | undefined {
  const [asked, answered] =
    typeof part(used, "prompt_tokens") === "number" ? (["prompt_tokens", "completion_tokens"] as const) : (["input_tokens", "output_tokens"] as const);
  let input = part(used, asked);
  let output = part(used, answered);
  if (typeof input !== "number") {
    return undefined;
  }
  const details: Fields = {};
  const take = (sum: number, of: string, prefix: string): number => {
    let left = sum;
    for (const [name, count] of Object.entries((part(used, of) ?? {}) as Fields)) {
      if (typeof count === "number") {
        details[`${prefix}_${name}`] = count;
        left = Math.max(left - count, 0);
      }
    }
    return left;
  };
  input = take(input, `${asked}_details`, "input");
  if (typeof output === "number") {
    output = take(output, `${answered}_details`, "output");
  }
  const total = part(used, "total_tokens");
  return {
    input,
    // An embedding has no output, and its total is its input.
    ...(typeof output === "number" ? { output, ...(typeof total === "number" ? { total } : {}) } : {}),
    ...details,
  };
}

/** The model that answered, what it used and how it was served. */
export function about(model: unknown, used: unknown, said: Fields, parameters: Fields): Fields {
  const fields: Fields = {};
  if (typeof model === "string" && model !== "") {
    fields["model"] = model;
  }
  const counts = usage(used);
  if (counts !== undefined) {
    fields["usageDetails"] = counts;
  }
  const cost = part(used, "cost");
  if (typeof cost === "number") {
    // OpenRouter tells the price.
    fields["costDetails"] = { total: cost };
  }
  if (Object.keys(said).length > 0) {
    fields["modelParameters"] = { ...parameters, ...said };
  }
  return fields;
}

/** Text where there is only text, else the items; a single one stands alone. */
export function items(output: unknown): unknown {
  if (!Array.isArray(output)) {
    return output;
  }
  let text = "";
  for (const item of output) {
    const content = part(item, "content");
    if (part(item, "type") === "message" && Array.isArray(content)) {
      for (const each of content) {
        if (part(each, "type") !== "output_text") {
          return shown(output);
        }
        text += String(part(each, "text"));
      }
    } else if (part(item, "type") !== "reasoning") {
      return shown(output);
    }
  }
  return text === "" ? shown(output) : text;
}

function shown(output: unknown[]): unknown {
  return output.length > 1 ? output : output[0];
}

/** The attributes of an answer of the Responses API. */
export function responseFields(response: unknown, parameters: Fields): Fields {
  const said: Fields = {};
  for (const name of PARAMETERS) {
    const value = part(response, name);
    if (value !== undefined && value !== null) {
      said[name] = value;
    }
  }
  const metadata: Fields = {};
  for (const name of METADATA) {
    const value = part(response, name);
    if (says(value)) {
      metadata[name] = value;
    }
  }
  const fields = { output: items(part(response, "output")), metadata, ...about(part(response, "model"), part(response, "usage"), said, parameters) };
  const error = part(response, "error");
  return says(error) ? { ...fields, level: "ERROR", statusMessage: part(error, "message") ?? error } : fields;
}

/** Pictures leave as media: what is base64 here is uploaded, and a reference stands for it. */
export function pictures(data: unknown, format: unknown): unknown {
  if (!Array.isArray(data)) {
    return undefined;
  }
  const all = data.map((picture) => {
    const base64 = part(picture, "b64_json");
    const type = typeof format === "string" ? format : "png";
    return typeof base64 === "string" ? { ...(picture as Fields), b64_json: `data:image/${type};base64,${base64}` } : (picture as unknown);
  });
  return all.length > 1 ? all : all[0];
}

/** What a whole answer sets. */
export function fields(kind: Kind, response: unknown, parameters: Fields): Fields {
  if (kind === "responses") {
    return responseFields(response, parameters);
  }
  const tier = part(response, "service_tier");
  const said = about(part(response, "model"), part(response, "usage"), says(tier) ? { service_tier: tier } : {}, parameters);
  if (kind === "embedding" || kind === "image") {
    const data = part(response, "data");
    if (kind === "image") {
      return { output: pictures(data, part(response, "output_format")), ...said };
    }
    const vector = Array.isArray(data) ? part(data[0], "embedding") : undefined;
    const dimensions = Array.isArray(vector) || ArrayBuffer.isView(vector) ? (vector as ArrayLike<unknown>).length : 0;
    return { output: Array.isArray(data) ? { dimensions, count: data.length } : undefined, ...said };
  }
  const choices = part(response, "choices");
  if (!Array.isArray(choices)) {
    return { output: response, ...said };
  }
  const output = choices.map((choice) => (kind === "chat" ? part(choice, "message") : part(choice, "text")));
  const reason = part(choices[0], "finish_reason");
  return { output: output.length > 1 ? output : output[0], ...(says(reason) ? { metadata: { finish_reason: reason } } : {}), ...said };
}
