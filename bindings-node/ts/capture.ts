/**
 * From any JavaScript value to the text of a record, in one pass, by the call that passes the value. What an object becomes follows
 * the table in docs/node-values.md. The application's code that runs on the way (getters, `toJSON`, iterators, proxies) may do anything;
 * where it throws the value becomes `<ClassName>`. No reference to the value is kept.
 */
import { Contents, isPlace, mayBeUri, ofMedia } from "./contents.js";
import { byteLength, head } from "./host.js";
import { classOf, kindOf, Kind, textOf } from "./kinds.js";
import type { Observation } from "./observation.js";
import { END } from "./record.js";

/** The most bytes that one value may take: servers refuse observations of more than 9 MB, and something is left for the rest of it. */
export const MAX_TEXT = 8_900_000;

/** Containers nest this deep at most; what lies deeper becomes `<Object>`, `<Array>` or `<ClassName>`. */
const MAX_DEPTH = 20;

/**
 * How much walking one value may cost: a container costs 1, an object that must be asked what it is OBJECT_COST. Keeps a stray
 * reference to half the application from holding the event loop for seconds.
 */
const MAX_WORK = 500_000;
const OBJECT_COST = 50;

/** A key with its quotes and colon, and what stands before it in an object. */
interface Key {
  readonly first: string;
  readonly next: string;
  /** The same before a text that follows as it is. */
  readonly firstText: string;
  readonly nextText: string;
}

/** Most applications have a few hundred. */
const keys = new Map<string, Key>();
const MOST_KEYS = 2000;
const LONGEST_KEY = 100;

function keyOf(key: string): Key {
  const known = keys.get(key);
  if (known !== undefined) {
    return known;
  }
  const text = `${JSON.stringify(key)}:`;
  const made = { first: `{${text}`, next: `,${text}`, firstText: `{${text}${END}`, nextText: `,${text}${END}` };
  if (key.length <= LONGEST_KEY) {
    if (keys.size >= MOST_KEYS) {
      keys.clear();
    }
    keys.set(key, made);
  }
  return made;
}

/**
 * How many bytes a text takes where that may be more than there is room for, else its characters: counting reads the whole text. What
 * becomes too large by that is cut by the core.
 */
function sizeOf(text: string, room: number): number {
  return text.length * 3 > room ? byteLength(text) : text.length;
}

/** What is left of a text for which there is not enough room, and how much is gone. */
function cut(text: string, room: number): string {
  const kept = head(text, Math.max(0, room));
  return `${kept}[truncated ${byteLength(text) - byteLength(kept)} bytes]`;
}

// Where every observation passes texts are joined by `+`, not by templates, and types are compared, not switched over: engines turn a
// template's parts into text first, and make the type's name.

export class Encoder {
  private room = MAX_TEXT;
  private work = MAX_WORK;
  private readonly open: object[] = [];
  private contents: Contents | null = null;
  /** What was written last is a text, not an object or a list around one. */
  textual = false;

  /** JSON of a value, in the form that a record has it in; see `record.ts`. */
  encode(value: unknown, room: number, contents: Contents | null): string {
    this.room = room;
    this.work = MAX_WORK;
    this.contents = contents;
    this.textual = false;
    const text = this.value(value, "");
    this.contents = null;
    return text;
  }

  private value(value: unknown, place: string): string {
    if (typeof value === "string") {
      return this.string(value);
    }
    if (typeof value === "object") {
      if (value === null) {
        this.room -= 4;
        return "null";
      }
      return this.object(value, place);
    }
    if (typeof value === "number") {
      this.room -= 8;
      return Number.isFinite(value) ? `${value}` : `"${value}"`;
    }
    if (typeof value === "boolean") {
      this.room -= 5;
      return value ? "true" : "false";
    }
    return this.rare(value);
  }

  private rare(value: unknown): string {
    switch (typeof value) {
      case "bigint":
        return value >= -9007199254740991n && value <= 9007199254740991n ? `${value}` : this.string(`${value}`);
      case "symbol":
        return this.string(String(value));
      case "function":
        this.room -= 10;
        return '"<function>"';
      default:
        this.room -= 4;
        return "null";
    }
  }

  private string(text: string): string {
    const { length } = text;
    if (length === 0) {
      this.room -= 2;
      return '""';
    }
    if (this.contents !== null && mayBeUri(text)) {
      return this.plain(this.contents.take("", text) ?? text);
    }
    return this.plain(text);
  }

  /** Whether a text is written as it is; then there is room for it, and that is taken. */
  private isRaw(text: string): boolean {
    if (text.length === 0 || (this.contents !== null && mayBeUri(text))) {
      return false;
    }
    const size = sizeOf(text, this.room);
    if (size > this.room || text.includes(END)) {
      return false;
    }
    this.room -= size + 3;
    return true;
  }

  private plain(text: string): string {
    this.textual = true;
    let kept = text;
    let size = sizeOf(text, this.room);
    if (size > this.room) {
      kept = cut(text, this.room);
      size = this.room;
    }
    this.room -= size + 3;
    return kept.includes(END) ? JSON.stringify(kept) : END + kept + END;
  }

  /** A failure of the object's own code is contained here. */
  private object(value: object, place: string): string {
    const depth = this.open.length;
    try {
      return this.container(value, place);
    } catch {
      // Setting an array's length is slow, so it is done only here.
      this.open.length = depth;
      return this.placeholder(value);
    }
  }

  private placeholder(value: object): string {
    return this.plain(`<${classOf(value)}>`);
  }

  private enter(value: object, cost: number): boolean {
    const { open } = this;
    if (open.length + 1 >= MAX_DEPTH || this.work < cost || this.room <= 0) {
      return false;
    }
    for (let at = 0; at < open.length; at += 1) {
      if (open[at] === value) {
        return false;
      }
    }
    this.work -= cost;
    open.push(value);
    return true;
  }

  private container(value: object, place: string): string {
    const kind = kindOf(value);
    if (kind === Kind.Plain || kind === Kind.Array) {
      if (!this.enter(value, 1)) {
        return this.placeholder(value);
      }
      const text = kind === Kind.Plain ? this.members(value as Record<string, unknown>, place) : this.elements(value as unknown[]);
      this.open.pop();
      return text;
    }
    return this.other(value, kind);
  }

  private elements(values: unknown[]): string {
    const { length } = values;
    if (length === 0) {
      this.room -= 2;
      return "[]";
    }
    let text = "[";
    for (let at = 0; at < length; at += 1) {
      if (at > 0) {
        text += ",";
      }
      if (this.room <= 0) {
        return `${text}"[truncated ${length - at} items]"]`;
      }
      text += this.value(values[at], "");
    }
    this.textual = false;
    return text + "]";
  }

  private members(value: Record<string, unknown>, place: string): string {
    let text = "";
    for (const key in value) {
      if (!Object.prototype.hasOwnProperty.call(value, key)) {
        continue;
      }
      if (this.room <= 0) {
        text += `${text === "" ? "{" : ","}"...":"[truncated]"`;
        break;
      }
      const member = this.read(value, key);
      if (member === undefined) {
        continue;
      }
      if (key === "toJSON" && typeof member === "function") {
        return this.value((member as () => unknown).call(value), place);
      }
      const known = keyOf(key);
      this.room -= key.length + 4;
      if (typeof member === "string" && key !== "data" && this.isRaw(member)) {
        // Every piece less is one less to put together when the record crosses.
        text = (text === "" ? known.firstText : text + known.nextText) + member + END;
        continue;
      }
      text = text === "" ? known.first : text + known.next;
      if (this.contents === null) {
        text += this.value(member, "");
      } else if (key === "data") {
        const reference = this.contents.member(value, member, place);
        text += reference === null ? this.value(member, "") : this.plain(reference);
      } else {
        text += this.value(member, isPlace(key) ? key : "");
      }
    }
    this.textual = false;
    return text === "" ? "{}" : text + "}";
  }

  /** A member, or `<unreadable>` where its getter throws. */
  private read(value: Record<string, unknown>, key: string): unknown {
    try {
      return value[key];
    } catch {
      return "<unreadable>";
    }
  }

  /** What is neither a plain object nor an array. */
  private other(value: object, kind: Kind): string {
    switch (kind) {
      case Kind.Text:
        return this.string(textOf(value));
      case Kind.Scalar:
        return this.value((value as { valueOf(): unknown }).valueOf(), "");
      case Kind.Opaque:
        return this.placeholder(value);
      case Kind.Media:
        return this.plain(ofMedia(value, this.contents));
      default:
    }
    if (!this.enter(value, OBJECT_COST)) {
      return this.placeholder(value);
    }
    let text: string;
    switch (kind) {
      case Kind.Numbers:
        text = this.elements(value as unknown as unknown[]);
        break;
      case Kind.Set:
        text = this.elements([...(value as Iterable<unknown>)]);
        break;
      case Kind.Map:
        text = this.entries(value as Iterable<[unknown, unknown]>);
        break;
      case Kind.Json:
        text = this.value((value as { toJSON(): unknown }).toJSON(), "");
        break;
      default:
        text = this.members(value as Record<string, unknown>, "");
        if (text === "{}") {
          text = this.placeholder(value);
        }
    }
    this.open.pop();
    return text;
  }

  /** Keys and values of a `Map` or of headers as an object; keys become text. */
  private entries(pairs: Iterable<[unknown, unknown]>): string {
    let text = "";
    for (const [key, value] of pairs) {
      if (this.room <= 0) {
        return `${text === "" ? "{" : `${text},`}"...":"[truncated]"}`;
      }
      const name = typeof key === "string" ? key : typeof key === "object" && key !== null ? `<${classOf(key)}>` : String(key);
      const known = keyOf(name);
      text = text === "" ? known.first : text + known.next;
      this.room -= name.length + 4;
      text += this.value(value, "");
    }
    this.textual = false;
    return text === "" ? "{}" : text + "}";
  }
}

/** Encoders that nobody uses: capturing may run code that captures. */
const free: Encoder[] = [];

/** Whether what was encoded last is a text. */
let lastIsText = false;

function encode(value: unknown, room: number, of: Observation | null, field: string): string {
  const encoder = free.pop() ?? new Encoder();
  const text = encoder.encode(value, room, of !== null && of.handle.media ? new Contents(of, field) : null);
  lastIsText = encoder.textual;
  free.push(encoder);
  return text;
}

/** One value inside the JSON of a record. */
export function piece(value: unknown, room: number, of: Observation | null, field: string): string {
  return encode(value, room, of, field);
}

/**
 * Input, output and the like: text as it is, everything else as JSON. `null` and `undefined` are nothing: an empty text.
 *
 * @param of Contents go with this observation; `null` leaves them in the value.
 */
export function content(value: unknown, room: number, of: Observation | null, field: string): string {
  if (typeof value === "string" && !mayBeUri(value)) {
    return text(value, room);
  }
  if (value === undefined || value === null) {
    return "";
  }
  const encoded = encode(value, room, of, field);
  // Looking at a character would make one piece of a text that is about to be put together with others.
  return lastIsText ? json(encoded) : "{" + encoded + END + END;
}

/** JSON as text. What a record leaves unescaped is escaped. */
export function asJson(value: unknown, room: number): string {
  const pieces = encode(value, room, null, "").split(END);
  return pieces.map((part, at) => (at % 2 === 1 ? JSON.stringify(part) : part)).join("");
}

/** JSON as a record's value; a text comes without the quotes of JSON. */
function json(encoded: string): string {
  // END text END, and nothing else, or a text that is escaped already: the encoder writes strings so, and no other value begins so.
  switch (encoded.charCodeAt(0)) {
    case 0x1f:
      return `"${encoded.slice(1)}`;
    case 0x22:
      return `'${encoded}${END}`;
    default:
      return `{${encoded}${END}${END}`;
  }
}

/** Text as a record's value. */
export function text(value: string, room = MAX_TEXT): string {
  const kept = sizeOf(value, room) > room ? cut(value, room) : value;
  return kept.includes(END) ? `'${JSON.stringify(kept)}${END}` : '"' + kept + END;
}

/** One key of metadata: numbers and booleans stay what they are. An empty text for nothing. */
export function scalar(value: unknown, room: number, of: Observation | null): string {
  if (typeof value === "number") {
    return Number.isFinite(value) ? `#${value}${END}` : `"${value}${END}`;
  }
  if (typeof value === "boolean") {
    return value ? "t" : "f";
  }
  if (typeof value === "bigint") {
    return value >= -9007199254740991n && value <= 9007199254740991n ? `#${value}${END}` : `"${value}${END}`;
  }
  return content(value, room, of, "metadata");
}

/** A short text such as an id or a key: what it looks like, without a record's mark in it. */
export function word(value: unknown): string {
  let text: string;
  try {
    text = typeof value === "string" ? value : String(value);
  } catch {
    text = "";
  }
  return text.includes(END) ? text.replaceAll(END, " ") : text;
}
