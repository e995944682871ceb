/** Streamed answers, put together chunk by chunk. Text is kept up to a bound; chunks themselves are not kept. */
import { about, items, pictures, responseFields } from "./answer.js";
import { type Fields, type Kind, part, says } from "./request.js";

/** Characters of one streamed answer that are kept: a model's longest answer is well below. */
export const MAX_TEXT = 1024 * 1024;
/** Choices and tool calls of one answer that are told apart. */
const MOST_PARTS = 128;

/** Puts a streamed answer together. */
export interface Collector {
  add(chunk: unknown): void;
  fields(parameters: Fields): Fields;
}

/** How many characters an answer may still keep. */
interface Room {
  left: number;
}

class Text {
  private text = "";
  private lost = 0;
  /** Whether any piece came, be it empty. */
  told = false;

  constructor(private readonly room: Room) {}

  add(piece: unknown): void {
    if (typeof piece !== "string") {
      return;
    }
    this.told = true;
    const { room } = this;
    if (piece.length > room.left) {
      this.lost += piece.length - room.left;
      this.text += piece.slice(0, room.left);
      room.left = 0;
    } else {
      room.left -= piece.length;
      this.text += piece;
    }
  }

  get empty(): boolean {
    return this.text === "" && this.lost === 0;
  }

  toString(): string {
    return this.lost > 0 ? `${this.text}[truncated ${this.lost} characters]` : this.text;
  }
}

/** A function or tool call that arrives in pieces. */
class ToolCall {
  id: unknown;
  type: unknown;
  private readonly name: Text;
  private readonly arguments: Text;

  constructor(room: Room) {
    this.name = new Text(room);
    this.arguments = new Text(room);
  }

  add(called: unknown): void {
    if (this.name.empty) {
      this.name.add(part(called, "name"));
    }
    // Custom tools have one text as their input.
    this.arguments.add(part(called, "arguments") ?? part(called, "input"));
  }

  shown(): Fields {
    return { name: String(this.name), arguments: String(this.arguments) };
  }
}

class Choice {
  readonly content: Text;
  private readonly refusal: Text;
  private readonly reasoning: Text;
  private readonly calls = new Map<number, ToolCall>();
  private called: ToolCall | undefined;

  constructor(private readonly room: Room) {
    this.content = new Text(room);
    this.refusal = new Text(room);
    this.reasoning = new Text(room);
  }

  add(delta: unknown): void {
    this.content.add(part(delta, "content"));
    this.refusal.add(part(delta, "refusal"));
    this.reasoning.add(part(delta, "reasoning_content"));
    const called = part(delta, "function_call");
    if (called !== undefined && called !== null) {
      (this.called ??= new ToolCall(this.room)).add(called);
    }
    const calls = part(delta, "tool_calls");
    for (const piece of Array.isArray(calls) ? calls : []) {
      const index = part(piece, "index");
      const at = typeof index === "number" ? index : Math.max(this.calls.size - 1, 0);
      let call = this.calls.get(at);
      if (call === undefined) {
        if (this.calls.size >= MOST_PARTS) {
          continue;
        }
        call = new ToolCall(this.room);
        this.calls.set(at, call);
      }
      call.id ??= part(piece, "id");
      call.type ??= part(piece, "type");
      call.add(part(piece, "function") ?? part(piece, "custom"));
    }
  }

  shown(): unknown {
    const more: Fields = {};
    if (this.calls.size > 0) {
      const calls = [...this.calls].sort(([one], [other]) => one - other);
      more["tool_calls"] = calls.map(([, call]) => ({ id: call.id, type: call.type, function: call.shown() }));
    } else if (this.called !== undefined) {
      more["function_call"] = this.called.shown();
    }
    if (!this.refusal.empty) {
      more["refusal"] = String(this.refusal);
    }
    if (!this.reasoning.empty) {
      more["reasoning_content"] = String(this.reasoning);
    }
    if (Object.keys(more).length === 0) {
      return this.content.empty ? undefined : String(this.content);
    }
    return { role: "assistant", ...(this.content.told ? { content: String(this.content) } : {}), ...more };
  }
}

/** A streamed answer of the chat or the completions API. */
class Chunks implements Collector {
  private readonly room: Room = { left: MAX_TEXT };
  private readonly choices = new Map<number, Choice>();
  private model: unknown;
  private used: unknown;
  private tier: unknown;
  private reason: unknown;

  constructor(private readonly chat: boolean) {}

  add(chunk: unknown): void {
    this.model ||= part(chunk, "model");
    this.tier ||= part(chunk, "service_tier");
    this.used = part(chunk, "usage") ?? this.used;
    const choices = part(chunk, "choices");
    for (const said of Array.isArray(choices) ? choices : []) {
      const index = part(said, "index");
      const at = typeof index === "number" ? index : 0;
      let choice = this.choices.get(at);
      if (choice === undefined) {
        if (this.choices.size >= MOST_PARTS) {
          continue;
        }
        choice = new Choice(this.room);
        this.choices.set(at, choice);
      }
      this.reason = part(said, "finish_reason") ?? this.reason;
      if (this.chat) {
        choice.add(part(said, "delta"));
      } else {
        choice.content.add(part(said, "text"));
      }
    }
  }

  fields(parameters: Fields): Fields {
    const all = [...this.choices].sort(([one], [other]) => one - other).map(([, choice]) => choice.shown());
    return {
      output: all.length > 1 ? all : all[0],
      ...(says(this.reason) ? { metadata: { finish_reason: this.reason } } : {}),
      ...about(this.model, this.used, says(this.tier) ? { service_tier: this.tier } : {}, parameters),
    };
  }
}

/** A streamed answer of the Responses API: the last event that carries the whole answer says it all; before it, what has come. */
class Events implements Collector {
  private response: unknown;
  private readonly done: unknown[] = [];
  private text = new Text({ left: MAX_TEXT });

  add(event: unknown): void {
    const response = part(event, "response");
    if (response !== undefined && response !== null) {
      this.response = response;
      return;
    }
    const type = part(event, "type");
    if (type === "response.output_text.delta" || type === "response.refusal.delta") {
      this.text.add(part(event, "delta"));
    } else if (type === "response.output_item.done" && this.done.length < MOST_PARTS) {
      this.done.push(part(event, "item"));
      this.text = new Text({ left: MAX_TEXT });
    }
  }

  fields(parameters: Fields): Fields {
    const fields: Fields = this.response === undefined ? {} : responseFields(this.response, parameters);
    if (fields["output"] === undefined) {
      // Left before its end.
      const rest = this.text.empty ? [] : [String(this.text)];
      fields["output"] = this.done.length === 0 ? rest[0] : rest.length === 0 ? items(this.done) : [...this.done, ...rest];
    }
    return fields;
  }
}

/** Streamed pictures: previews are not kept. */
class Pictures implements Collector {
  private last: unknown;

  add(event: unknown): void {
    this.last = String(part(event, "type")).endsWith(".completed") ? event : this.last;
  }

  fields(parameters: Fields): Fields {
    const { last } = this;
    if (last === undefined) {
      return {};
    }
    const output = pictures([{ b64_json: part(last, "b64_json") }], part(last, "output_format"));
    return { output, ...about(undefined, part(last, "usage"), {}, parameters) };
  }
}

/** What puts a streamed answer together. */
export function collector(kind: Kind): Collector {
  switch (kind) {
    case "responses":
      return new Events();
    case "image":
      return new Pictures();
    default:
      return new Chunks(kind === "chat");
  }
}
