/** Prompts as applications see them, with the members and template rules of `@langfuse/client`. */
import { require } from "./host.js";
import { tell } from "./log.js";

/** A message of a chat prompt. */
export interface ChatMessage {
  role: string;
  content: string;
}

/** A place for messages that `compile` is passed. */
export interface PlaceholderMessage {
  name: string;
}

export type ChatMessageWithPlaceholders = ({ type: "chatmessage" } & ChatMessage) | ({ type: "placeholder" } & PlaceholderMessage);

export type ChatMessageOrPlaceholder = ChatMessage | ({ type: "placeholder" } & PlaceholderMessage);

/** What LangChain's templates take for a placeholder. */
export interface LangchainMessagesPlaceholder {
  variableName: string;
  optional?: boolean;
}

/** A prompt as the server has it. */
export interface PromptData {
  name: string;
  version: number;
  type?: "text" | "chat";
  prompt: unknown;
  config?: unknown;
  labels?: string[];
  tags?: string[];
  commit_message?: string | null;
}

type Mustache = (typeof import("mustache"))["default"];

/** Templates that are parsed already; bounded, and apart from those of the application. */
const MOST_TEMPLATES = 1000;

class Templates {
  private readonly parsed = new Map<string, unknown>();
  private readonly writer: InstanceType<Mustache["Writer"]>;

  constructor(mustache: Mustache) {
    // The declarations know nothing of the cache, the documentation does.
    this.writer = Object.assign(new mustache.Writer(), { templateCache: this });
  }

  get(key: string): unknown {
    return this.parsed.get(key);
  }

  set(key: string, tokens: unknown): void {
    if (this.parsed.size >= MOST_TEMPLATES) {
      this.parsed.clear();
    }
    this.parsed.set(key, tokens);
  }

  clear(): void {
    this.parsed.clear();
  }

  /** Fills variables in. Nothing is escaped: a prompt is no HTML. */
  render(template: string, variables: Record<string, unknown>): string {
    return this.writer.render(template, variables, undefined, ESCAPE);
  }
}

const ESCAPE = { escape: (value: unknown) => String(value) };

let templates: Templates | undefined;

/** Loads the template engine: with the first prompt, not with this package. */
export async function loadTemplates(): Promise<void> {
  templates ??= new Templates((await import("mustache")).default);
}

function render(template: string, variables: Record<string, unknown>): string {
  // A prompt that the application made itself.
  templates ??= new Templates(require("mustache") as Mustache);
  return templates.render(template, variables);
}

abstract class BasePromptClient {
  readonly name: string;
  readonly version: number;
  /** Anything that was stored with it. */
  readonly config: unknown;
  readonly labels: string[];
  readonly tags: string[];
  /** True where the server had none and the fallback is used: observations do not link to it. */
  readonly isFallback: boolean;
  readonly type: "text" | "chat";
  readonly commitMessage: string | null | undefined;

  constructor(prompt: PromptData, isFallback: boolean, type: "text" | "chat") {
    this.name = prompt.name;
    this.version = prompt.version;
    this.config = prompt.config ?? {};
    this.labels = prompt.labels ?? [];
    this.tags = prompt.tags ?? [];
    this.isFallback = isFallback;
    this.type = type;
    this.commitMessage = prompt.commit_message;
  }

  abstract readonly prompt: unknown;

  toJSON(): string {
    return JSON.stringify({
      name: this.name,
      prompt: this.prompt,
      version: this.version,
      isFallback: this.isFallback,
      tags: this.tags,
      labels: this.labels,
      type: this.type,
      config: this.config,
    });
  }
}

/** A prompt that is one text. */
export class TextPromptClient extends BasePromptClient {
  readonly prompt: string;
  readonly promptResponse: PromptData;

  constructor(prompt: PromptData, isFallback = false) {
    super(prompt, isFallback, "text");
    this.promptResponse = prompt;
    this.prompt = typeof prompt.prompt === "string" ? prompt.prompt : String(prompt.prompt);
  }

  /** The text with variables filled in: `{{name}}` as mustache has it; a variable that is not passed becomes nothing. */
  compile(variables?: Record<string, unknown>, _placeholders?: Record<string, unknown>): string {
    return render(this.prompt, variables ?? {});
  }

  /** The text for LangChain's templates: `{variable}` instead of `{{variable}}`, braces of JSON doubled. */
  getLangchainPrompt(_options?: { placeholders?: Record<string, unknown> }): string {
    return forLangchain(this.prompt);
  }
}

/** A prompt that is a list of messages and placeholders for messages. */
export class ChatPromptClient extends BasePromptClient {
  readonly prompt: ChatMessageWithPlaceholders[];
  readonly promptResponse: PromptData;

  constructor(prompt: PromptData, isFallback = false) {
    super(prompt, isFallback, "chat");
    this.promptResponse = prompt;
    this.prompt = Array.isArray(prompt.prompt) ? prompt.prompt.map(normal) : [];
  }

  /**
   * The messages with variables filled in and placeholders replaced by the messages that are passed for them. A placeholder for which
   * none are passed stays; what is passed and is no list of messages becomes text, with one line.
   */
  compile(variables?: Record<string, unknown>, placeholders?: Record<string, unknown>): (ChatMessageOrPlaceholder | any)[] {
    const messages = filled(this.prompt, placeholders ?? {});
    return messages.map((message) =>
      isMessage(message) ? { ...message, content: render(message.content, variables ?? {}) } : message,
    );
  }

  /** The messages for LangChain's templates; a placeholder that stays is `{ variableName, optional: false }`. */
  getLangchainPrompt(options?: { placeholders?: Record<string, unknown> }): (ChatMessage | LangchainMessagesPlaceholder | any)[] {
    return filled(this.prompt, options?.placeholders ?? {}).map((message) => {
      if (isMessage(message)) {
        return { role: message.role, content: forLangchain(message.content) };
      }
      const { type, name } = message as { type?: string; name?: string };
      return type === "placeholder" && name !== undefined ? { variableName: name, optional: false } : message;
    });
  }
}

/** Messages without a type are chat messages. */
function normal(message: unknown): ChatMessageWithPlaceholders {
  const given = (message ?? {}) as { type?: string; name?: string; role?: string; content?: string };
  if (given.type === "placeholder") {
    return { type: "placeholder", name: given.name ?? "" };
  }
  return { ...given, type: "chatmessage", role: given.role ?? "", content: given.content ?? "" };
}

function isMessage(message: unknown): message is ChatMessage {
  const given = message as { role?: unknown; content?: unknown } | null;
  return typeof given === "object" && given !== null && typeof given.role === "string" && typeof given.content === "string";
}

function filled(prompt: ChatMessageWithPlaceholders[], placeholders: Record<string, unknown>): unknown[] {
  const messages: unknown[] = [];
  for (const message of prompt) {
    if (message.type !== "placeholder") {
      const { type: _type, ...rest } = message;
      messages.push(rest);
      continue;
    }
    const given = placeholders[message.name];
    if (given === undefined) {
      messages.push(message);
    } else if (Array.isArray(given)) {
      messages.push(...given.filter((each) => typeof each === "object" && each !== null));
      if (!given.every(isMessage)) {
        tell(`the placeholder ${message.name} was passed something that is no { role, content }; it is used as it is`);
      }
    } else {
      tell(`the placeholder ${message.name} was passed no list of messages; it is used as text`);
      messages.push(JSON.stringify(given));
    }
  }
  return messages;
}

function forLangchain(content: string): string {
  return escapeJson(content).replace(/\{\{\s*(\w+)\s*\}\}/g, "{$1}");
}

/** Doubles single braces that belong to JSON: those that a quote follows, and the ones that close them. */
function escapeJson(text: string): string {
  let out = "";
  const doubled: boolean[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (char !== "{" && char !== "}") {
      out += char;
    } else if (text.charAt(at + 1) === char) {
      out += char + char;
      at += 1;
    } else {
      const isJson = char === "{" ? /^\s*['"]/.test(text.slice(at + 1, at + 100)) : (doubled.pop() ?? false);
      if (char === "{") {
        doubled.push(isJson);
      }
      out += isJson ? char + char : char;
    }
  }
  return out;
}
