/**
 * What the API needs of the core, whichever way it is reached: the native module in Node, WebAssembly elsewhere.
 *
 * Everything that crosses is a number or a text. Objects of JavaScript stay on this side: they are read field by field
 * only by `capture`, and a record of text crosses once, when an observation ends. Nothing here throws for what an
 * application passed; what is wrong comes back as a sentence, or as a notice.
 *
 * Texts named "JSON" are made with `JSON.stringify`. Times are milliseconds since 1970, fractions included; durations are
 * milliseconds too.
 */
export interface Backend {
  /** Which implementation it is. `none` records nothing: no binary was found for this host. */
  readonly kind: "native" | "wasm" | "none";

  /** The core's version. */
  version(): string;

  /**
   * A handle on a client; a lookup where the same options have been asked for before. Never fails: what cannot be used is
   * told as a notice, and without usable keys nothing is recorded.
   *
   * @param options JSON of {@link CoreOptions}.
   */
  open(options: string): number;

  /** What a handle came to be: JSON of {@link Settings}. */
  settings(handle: number): string;

  /** Handles of the destinations with this public key that are in the cache, of all without one. New handles. */
  find(publicKey?: string): number[];

  /** Gives a handle back. Its destination stays in the cache; what is under way is not touched. */
  release(handle: number): void;

  /** Whether a trace is kept by the client's sample rate. Asked once, where a trace begins. */
  keeps(handle: number, traceId: string): boolean;

  /**
   * Hands an ended observation over. Never waits. False where there is no room for another trace: until `hasRoom` says otherwise
   * those that begin are refused whole, so that what is kept is kept whole.
   *
   * @param record See `record.ts`.
   */
  end(handle: number, start: number, end: number, record: string): boolean;

  /** Whether a trace that begins now will find room. */
  hasRoom(handle: number): boolean;

  /** Counts observations of traces for which there was no room when they began. */
  refused(handle: number, count: number): void;

  /**
   * Hands an ended span of other instrumentation over; what is none is counted as `encode_failed`. Never waits.
   *
   * @param envelope Its scope and resource, and `span` itself: as the core's `span.rs` defines them.
   * @param propagated The `record` of the scope in which it started.
   */
  span(handle: number, envelope: string, propagated: string, span: string): void;

  /** Counts observations that were started and given up: their handles were collected before they ended. */
  neverEnded(handle: number, count: number): void;

  /** Counts content that a mask failed on: what it belonged to is sent without it. */
  maskFailed(handle: number): void;

  /** Hands a score over. What is wrong with it, or `null`. @param score JSON of {@link CoreScore}. */
  score(handle: number, score: string): string | null;

  /**
   * Takes a content out of a value: it is hashed now and uploaded once by the exporter. The reference that stands for it,
   * or `null` where it is no content or media are not uploaded.
   *
   * @param field `input`, `output` or `metadata`.
   * @param contentType `""` for a whole data URI, which says it itself.
   * @param content Base64 text (any alphabet), a whole data URI, or bytes.
   */
  media(
    handle: number,
    traceId: string,
    spanId: string,
    field: string,
    contentType: string,
    content: string | Uint8Array,
  ): string | null;

  /**
   * Trace-level attributes inside a scope: JSON `{"record": string, "problems": string[]}`, where `record` is the part of a
   * record that every observation inside begins with.
   *
   * @param outer The `record` of the scope around it, empty for none.
   * @param said JSON of {@link CorePropagation}.
   */
  propagate(outer: string, said: string): string;

  /** What a scope says as baggage: JSON `{"langfuse_user_id": "...", ...}`. */
  baggage(record: string): string;

  /** The content type of the member `data` of a provider's message, or `null`. @param shape JSON of {@link CoreShape}. */
  mediaType(shape: string): string | null;

  /** Begins to send what is pending; a ticket for the report. `handle` 0 means every client. */
  flush(handle: number, timeout: number, close: boolean): number;

  /** Closes every destination that matches; a ticket for the report. @param which JSON `{public_key?, base_url?, secret_key?}`; `{}` is all. */
  cleanup(which: string, timeout: number): number;

  /** Begins to look a prompt up; a ticket. @param request JSON of {@link CorePromptRequest}. */
  prompt(handle: number, request: string): number;

  /** Begins to make a version of a prompt, or with `version` to label one; a ticket. @param body JSON as the server takes it. */
  writePrompt(handle: number, name: string, version: number | null, body: string): number;

  /** Forgets this client's prompts. */
  clearPrompts(handle: number): void;

  /** Begins a request to the client's server (a path) or to a foreign address (without credentials); a ticket. */
  request(handle: number, method: string, target: string, body: string, timeout: number): number;

  /**
   * What a ticket waited for, JSON, once; `null` while there is nothing. A report, `{"prompt": ...}`, `{"status", "body"}`
   * or `{"error": sentence, "kind": "timeout" | "failed" | "refused", "status"?}`. A ticket answers by its deadline whatever the server does.
   */
  poll(ticket: number): string | null;

  /** Counters: JSON, snake_case as in every language. */
  stats(): string;

  /** Lines for the log: JSON of {@link Notice}[], `""` for none. `all`: also those that were told less than a minute ago. */
  notices(all: boolean): string;

  /** Sends what every client has pending and waits, at most `timeout`; JSON of the report, or `""` where nothing was pending. */
  goodbye(timeout: number): string;

  /**
   * Says that this environment uses the core; `main` for the main thread's. Once, when the module is loaded. Where no main
   * thread holds the module, the end of the last worker that does sends what is pending.
   */
  enter(main: boolean): void;

  /** Whether the main thread holds the module: then a worker need not say goodbye. */
  hasMain(): boolean;

  /** `traceId`, `spanId` and the sampled flag of a `traceparent` header: JSON, or `null` where W3C says to ignore it. */
  traceparent(header: string): string | null;

  /** A trace id: random, or the one that a seed stands for. */
  traceId(seed?: string): string;

  /** The letters of a record and the attributes that they stand for: JSON; see `record.ts`. */
  fields(): string;
}

/** What a client is asked for; absent means: the environment, then the default. */
export interface CoreOptions {
  public_key?: string;
  secret_key?: string;
  base_url?: string;
  /** Seconds. */
  timeout?: number;
  tracing_enabled?: boolean;
  flush_at?: number;
  /** Seconds. */
  flush_interval?: number;
  environment?: string;
  release?: string;
  sample_rate?: number;
  additional_headers?: Record<string, string>;
  otlp_endpoint?: string;
  dialect?: string;
  service_name?: string;
  gzip?: boolean;
  /** The environment variables, on hosts where the core cannot read them. */
  env?: Record<string, string>;
}

/** A handle's settings, checked. No secret is in it. */
export interface Settings {
  enabled: boolean;
  public_key: string;
  base_url: string | null;
  environment: string | null;
  release: string | null;
  sample_rate: number;
  /** Names the destination: observations of the same one may be each other's parents. */
  destination: string;
  /** False for an OTLP backend: no scores, prompts, media. */
  langfuse: boolean;
  media: boolean;
  /** Prompts stay fresh for so many milliseconds. */
  prompt_ttl: number;
}

export interface CoreScore {
  id?: string;
  name: string;
  value: number | string | boolean;
  data_type?: string;
  trace_id?: string;
  observation_id?: string;
  session_id?: string;
  dataset_run_id?: string;
  comment?: string;
  config_id?: string;
  metadata?: unknown;
  /** Milliseconds since 1970. */
  timestamp?: number;
  environment?: string;
}

export interface CorePropagation {
  user_id?: string;
  session_id?: string;
  version?: string;
  trace_name?: string;
  environment?: string;
  tags?: string[];
  metadata?: Record<string, string | number | boolean>;
  prompt?: { name: string; version: number };
  experiment?: Record<string, string>;
  /** Entries of an incoming `baggage` header, percent-decoded. */
  baggage?: Record<string, string>;
}

/** The members beside `data` by which a provider's message says what it holds. */
export interface CoreShape {
  /** The name of the member that the object is the value of. */
  place?: string;
  type?: string;
  media_type?: string;
  mime_type?: string;
  format?: string;
  transcript?: boolean;
}

export interface CorePromptRequest {
  name: string;
  type?: "text" | "chat";
  version?: number;
  label?: string;
  /** Milliseconds. */
  ttl?: number;
  retries?: number;
  fallback?: boolean;
  /** Milliseconds. */
  timeout?: number;
}

export interface Notice {
  kind: "dropped" | "configuration" | "server" | "cache_thrashing" | "panic";
  /** For `dropped`: of what. */
  lane?: "observations" | "scores" | "media";
  /** For `dropped`: why. */
  reason?: string;
  public_key: string;
  message: string;
  count: number;
}
