/** Media in a span's attributes: what is base64 there becomes a reference, and is uploaded apart from the span. */
import type { Handle } from "../internal.js";
import type { Attributes } from "./readable.js";
import type { Content } from "./text.js";

const DATA_URI = /data:[^;,\s"'\\]{1,100};base64,[A-Za-z0-9+/_-]+=*/g;
/** As many as a value of an observation may hold. */
const MOST = 1024;

/** Messages as JSON text in which a member beside the content says its type. */
const MESSAGES: Record<string, "input" | "output"> = {
  "ai.prompt": "input",
  "ai.prompt.messages": "input",
  "gen_ai.input.messages": "input",
  "gen_ai.output.messages": "output",
};

/** The field that a content is shown at. */
function fieldOf(key: string): "input" | "output" | "metadata" {
  if (key.includes("metadata")) {
    return "metadata";
  }
  return /output|response|completion/.test(key) ? "output" : "input";
}

type Take = (field: string, contentType: string, content: string) => string | null;

/** Replaces contents in an object of messages; says whether there were any. */
function replace(value: unknown, field: string, take: Take, depth: number): boolean {
  if (typeof value !== "object" || value === null || depth > 20) {
    return false;
  }
  let some = false;
  const holder = value as Record<string, unknown>;
  const type = holder["mediaType"] ?? holder["mime_type"] ?? holder["mimeType"];
  for (const [key, member] of Object.entries(holder)) {
    const isContent = (key === "data" || key === "image" || key === "content") && typeof type === "string";
    if (isContent && typeof member === "string" && member.length > 64 && !/^(https?|data):/.test(member)) {
      const reference = take(field, type, member);
      if (reference !== null) {
        holder[key] = reference;
        some = true;
      }
    } else {
      some = replace(member, field, take, depth + 1) || some;
    }
  }
  return some;
}

function inText(key: string, text: string, take: Take): string {
  let made = text;
  if (made.includes(";base64,")) {
    made = made.replace(DATA_URI, (uri) => take(fieldOf(key), "", uri) ?? uri);
  }
  const field = MESSAGES[key];
  if (field !== undefined && /"(mediaType|mime_?[tT]ype)"/.test(made)) {
    try {
      const messages: unknown = JSON.parse(made);
      if (replace(messages, field, take, 0)) {
        made = JSON.stringify(messages);
      }
    } catch {
      // It is no JSON, or was cut: it goes out as it is.
    }
  }
  return made;
}

function found(attributes: Attributes, take: Take): Attributes {
  let made = attributes;
  for (const key in attributes) {
    const value = attributes[key];
    if (typeof value === "string" && value.length > 64) {
      const text = inText(key, value, take);
      if (text !== value) {
        made = made === attributes ? { ...attributes } : made;
        made[key] = text;
      }
    }
  }
  return made;
}

/** The content with references in the place of media. */
export function withoutMedia(handle: Handle, traceId: string, spanId: string, content: Content): Content {
  if (!handle.media || !handle.enabled) {
    return content;
  }
  let left = MOST;
  const take: Take = (field, contentType, bytes) => {
    left -= 1;
    return left < 0 ? null : handle.backend.media(handle.id, traceId, spanId, field, contentType, bytes);
  };
  const attributes = found(content.attributes, take);
  const events = content.events.map((event) => (event.attributes === undefined ? event : { ...event, attributes: found(event.attributes, take) }));
  return { ...content, attributes, events };
}
