/**
 * Reading, caching and writing prompts. Fetching, the cache (1,000 prompts, 60 s fresh, then stale while one refresh runs; one fetch
 * however many wait) and retries are the core's; here arguments become a request and an answer becomes an object or an error.
 */
import type { CorePromptRequest } from "./backend.js";
import type { Handle } from "./handle.js";
import { deliver, shown, tell } from "./log.js";
import { type ChatMessage, type ChatMessageWithPlaceholders, ChatPromptClient, type PromptData, TextPromptClient, loadTemplates } from "./prompt.js";
import { arrival } from "./tickets.js";

/** The server refused, or did not answer in time. */
export class PromptError extends Error {
  override readonly name = "PromptError";
  constructor(
    message: string,
    /** `refused`, `timeout` or `failed`. */
    readonly kind: string,
    /** What the server answered, where it did. */
    readonly statusCode?: number,
  ) {
    super(message);
  }
}

interface GetOptions {
  version?: number;
  /** `production` where neither a version nor a label is given. */
  label?: string;
  /** 60 by default; 0 asks the server every time. */
  cacheTtlSeconds?: number;
  /** 2 by default, at most 4. */
  maxRetries?: number;
  /** Of all attempts together; the client's timeout by default. */
  fetchTimeoutMs?: number;
}

const RETRIES = 2;
const MOST_RETRIES = 4;
/** A ticket answers by its own deadline; this is for when nobody has named one. */
const LONGEST_WAIT = 60_000;

interface Answer {
  prompt?: PromptData;
  error?: string;
  kind?: string;
  status?: number;
}

function number(name: string, value: unknown, least: number): number | undefined {
  if (value === undefined || value === null) {
    return undefined;
  }
  if (typeof value !== "number" || Number.isNaN(value)) {
    tell(`${name} ${shown(value)} is no number; the default is used`);
    return undefined;
  }
  return Math.max(value, least);
}

export class PromptManager {
  constructor(private readonly handle: Handle) {}

  /**
   * A prompt, from the cache where it is fresh. Rejects where there is none and no fallback is given.
   *
   * @param options `fallback`: a text, or a list of messages with `type: "chat"`, for when the server has none or does not answer; it
   *   counts as found for a while, so that calls do not wait again.
   */
  get(name: string, options?: GetOptions & { fallback?: string; type?: "text" }): Promise<TextPromptClient>;
  get(name: string, options: GetOptions & { fallback?: ChatMessage[]; type: "chat" }): Promise<ChatPromptClient>;
  async get(
    name: string,
    options: GetOptions & { fallback?: string | ChatMessage[]; type?: "text" | "chat" } = {},
  ): Promise<TextPromptClient | ChatPromptClient> {
    if (typeof name !== "string" || name === "") {
      throw new TypeError("prompt.get: the name is no text, or empty");
    }
    const { version, label, fallback, type } = options ?? {};
    if (version !== undefined && label !== undefined) {
      throw new TypeError("prompt.get: pass version or label, not both");
    }
    const ttl = number("cacheTtlSeconds", options.cacheTtlSeconds, 0);
    const timeout = number("fetchTimeoutMs", options.fetchTimeoutMs, 1);
    const request: CorePromptRequest = {
      name,
      type,
      version,
      label: label === "" ? undefined : label,
      ttl: ttl === undefined ? undefined : ttl * 1000,
      retries: Math.min(number("maxRetries", options.maxRetries, 0) ?? RETRIES, MOST_RETRIES),
      fallback: fallback !== undefined,
      timeout,
    };
    const { backend, id } = this.handle;
    const answer = await this.answer(backend.prompt(id, JSON.stringify(request)), timeout);
    if (answer.prompt !== undefined) {
      return made(answer.prompt);
    }
    if (fallback === undefined) {
      throw error(answer);
    }
    tell(`prompt ${shown(name)} cannot be fetched, the fallback is used: ${answer.error}`);
    const given: PromptData = { name, version: version ?? 0, prompt: fallback, config: {}, labels: label === undefined ? [] : [label], tags: [] };
    if (type === "chat") {
      if (!Array.isArray(fallback)) {
        throw new TypeError("prompt.get: the fallback of a chat prompt is a list of messages");
      }
      return new ChatPromptClient(given, true);
    }
    if (typeof fallback !== "string") {
      throw new TypeError('prompt.get: the fallback of a text prompt is a text; pass type: "chat" for a list of messages');
    }
    return new TextPromptClient(given, true);
  }

  /** Makes a version of a prompt. Rejects where the server refuses. */
  create(body: CreateChatPrompt): Promise<ChatPromptClient>;
  create(body: CreateTextPrompt): Promise<TextPromptClient>;
  async create(body: CreateTextPrompt | CreateChatPrompt): Promise<TextPromptClient | ChatPromptClient> {
    if (body.type === "chat" && !Array.isArray(body.prompt)) {
      throw new TypeError("prompt.create: a chat prompt is a list of messages");
    }
    if (body.type !== "chat" && typeof body.prompt !== "string") {
      throw new TypeError('prompt.create: a text prompt is a text; pass type: "chat" for a list of messages');
    }
    const sent = { config: {}, labels: [], ...body, type: body.type ?? "text" };
    const { backend, id } = this.handle;
    return written(await this.answer(backend.writePrompt(id, body.name, null, JSON.stringify(sent)), undefined));
  }

  /** Gives labels to a version. */
  async update(params: { name: string; version: number; newLabels: string[] }): Promise<TextPromptClient | ChatPromptClient> {
    const { name, version, newLabels } = params;
    const { backend, id } = this.handle;
    return written(await this.answer(backend.writePrompt(id, name, version, JSON.stringify({ newLabels })), undefined));
  }

  /** Deletes a prompt, or the versions that are named, on the server; the cache of this process forgets it too. */
  async delete(name: string, options: { version?: number; label?: string } = {}): Promise<void> {
    const query = new URLSearchParams();
    if (options.version !== undefined) {
      query.set("version", String(options.version));
    }
    if (options.label !== undefined) {
      query.set("label", options.label);
    }
    const { backend, id } = this.handle;
    const path = `/api/public/v2/prompts/${encodeURIComponent(name)}${query.size > 0 ? `?${query}` : ""}`;
    const answer = await this.answer(backend.request(id, "DELETE", path, "", LONGEST_WAIT / 2), undefined);
    backend.clearPrompts(id);
    if (answer.error !== undefined || (answer.status !== undefined && answer.status >= 300)) {
      throw error(answer);
    }
  }

  /** Forgets this client's prompts. */
  clearCache(): void {
    this.handle.backend.clearPrompts(this.handle.id);
  }

  private async answer(ticket: number, timeout: number | undefined): Promise<Answer> {
    await loadTemplates();
    const text = await arrival(this.handle.backend, ticket, timeout ?? LONGEST_WAIT);
    deliver();
    return text === null ? { error: "no answer", kind: "timeout" } : (JSON.parse(text) as Answer);
  }
}

interface CreatePrompt {
  name: string;
  config?: unknown;
  labels?: string[];
  tags?: string[];
  commitMessage?: string;
}

export type CreateTextPrompt = CreatePrompt & { type?: "text"; prompt: string };
export type CreateChatPrompt = CreatePrompt & { type: "chat"; prompt: (ChatMessage | ChatMessageWithPlaceholders)[] };

function made(prompt: PromptData): TextPromptClient | ChatPromptClient {
  return prompt.type === "chat" || Array.isArray(prompt.prompt) ? new ChatPromptClient(prompt) : new TextPromptClient(prompt);
}

function written(answer: Answer): any {
  if (answer.prompt === undefined) {
    throw error(answer);
  }
  return made(answer.prompt);
}

function error(answer: Answer): PromptError {
  return new PromptError(answer.error ?? `the server answered ${answer.status}`, answer.kind ?? "refused", answer.status);
}
