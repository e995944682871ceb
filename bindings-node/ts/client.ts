/** Clients: cheap handles on a destination. */
import type { AttributesOf, LangfuseObservationType } from "./attributes.js";
import { type StartActiveObservationOpts, type StartObservationOpts, startActive } from "./api.js";
import type { CoreOptions } from "./backend.js";
import { begin } from "./begin.js";
import { type Report, flush, shutdown } from "./flush.js";
import { type Handle, type MaskFunction, type Own, backend, open, resolve } from "./handle.js";
import { context } from "./home.js";
import { attempt, shown, tell } from "./log.js";
import { MediaManager } from "./media.js";
import type { ObservationOf } from "./observation.js";
import { type ObserveOptions, observeWith } from "./observe.js";
import { PromptManager } from "./prompts.js";
import { type ScoreManager, type ScoreOf, scoreActive, scoreManager } from "./score.js";
import { current } from "./scope.js";

/** What is not given comes from the environment (`LANGFUSE_*`, `TRACESPOOL_*`), then from the default. */
export interface ClientOptions {
  publicKey?: string;
  secretKey?: string;
  /** `https://cloud.langfuse.com` by default. */
  baseUrl?: string;
  /** Of one request, in seconds; 5 by default. */
  timeout?: number;
  /** False records nothing. */
  tracingEnabled?: boolean;
  /** Observations that make a request due at once. */
  flushAt?: number;
  /** How long observations wait for company, in seconds; 5 by default. */
  flushInterval?: number;
  environment?: string;
  release?: string;
  /** 0 to 1: the part of traces that is kept, by trace id; their scores too. */
  sampleRate?: number;
  /**
   * Sees every input, output, metadata, status message and score's metadata before it leaves, as `{ data }`, and answers what may leave.
   * Where it throws the value is dropped and counted as `mask_failed`. It may answer with a promise, for at most 30 s.
   */
  mask?: MaskFunction;
  additionalHeaders?: Record<string, string>;
  /** An OTLP backend instead of Langfuse. */
  otlpEndpoint?: string;
  /** `langfuse`, `openinference` or `gen_ai`. */
  dialect?: string;
  serviceName?: string;
  /** False sends requests as they are. */
  gzip?: boolean;
  /** False leaves media in values as text. */
  mediaUploadEnabled?: boolean;
  /** True: a parent that another tracer has not sampled takes ours with it. */
  followParentSampling?: boolean;
}

type Kind = "string" | "number" | "boolean" | "object";

const OPTIONS: Record<string, [keyof CoreOptions, Kind]> = {
  publicKey: ["public_key", "string"],
  secretKey: ["secret_key", "string"],
  baseUrl: ["base_url", "string"],
  timeout: ["timeout", "number"],
  tracingEnabled: ["tracing_enabled", "boolean"],
  flushAt: ["flush_at", "number"],
  flushInterval: ["flush_interval", "number"],
  environment: ["environment", "string"],
  release: ["release", "string"],
  sampleRate: ["sample_rate", "number"],
  additionalHeaders: ["additional_headers", "object"],
  otlpEndpoint: ["otlp_endpoint", "string"],
  dialect: ["dialect", "string"],
  serviceName: ["service_name", "string"],
  gzip: ["gzip", "boolean"],
};

/** What the core need not know. */
const OWN = new Set(["mask", "followParentSampling", "mediaUploadEnabled"]);

/** What `@langfuse/otel` and `@langfuse/client` take and this one has no use for. */
const WITHOUT_EFFECT = new Set(["exportMode", "exporter", "shouldExportSpan"]);

/** Options as the core takes them. What is of the wrong type is told, without its value where that may be a secret, and left out. */
function checked(options: ClientOptions): CoreOptions {
  const found: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options ?? {})) {
    if (value === undefined || value === null || OWN.has(name)) {
      continue;
    }
    const known = OPTIONS[name];
    if (known === undefined) {
      tell(WITHOUT_EFFECT.has(name) ? `the option ${name} has no effect on a Client` : `there is no option ${shown(name)}; it is ignored`);
    } else if (typeof value !== known[1]) {
      tell(`the option ${name} is no ${known[1]}; it is ignored`);
    } else if (known[0] === "additional_headers") {
      found[known[0]] = Object.fromEntries(Object.entries(value as object).map(([header, text]) => [header, String(text)]));
    } else {
      found[known[0]] = value;
    }
  }
  return found as CoreOptions;
}

function maskOf(options: ClientOptions): MaskFunction | null {
  const mask: unknown = options?.mask;
  if (mask === undefined || mask === null) {
    return null;
  }
  if (typeof mask === "function") {
    return mask as MaskFunction;
  }
  // What should be masked must not leave unmasked.
  tell(`the option mask is no function; content is not recorded`);
  return () => {
    throw new TypeError("mask is no function");
  };
}

function own(options: ClientOptions): Own {
  return {
    mask: maskOf(options),
    followParentSampling: options?.followParentSampling === true,
    media: options?.mediaUploadEnabled !== false,
  };
}

/** Where a handle is passed instead of options. */
const ADOPT = Symbol("adopt");

function handleOf(options: ClientOptions): Handle {
  return (options as { [ADOPT]?: Handle } | null)?.[ADOPT] ?? open(checked(options), own(options));
}

/**
 * A handle on one destination: a server and keys. Making one for a known destination is a look-up; it starts no thread and opens no
 * socket, and needs no closing. Nothing that it does throws into the application or waits for the network, except what returns a promise.
 */
export class Client {
  /** @internal */
  readonly handle: Handle;
  private scores: ScoreManager | undefined;
  private prompts: PromptManager | undefined;
  private stored: MediaManager | undefined;

  constructor(options: ClientOptions = {}) {
    this.handle = attempt("a client's options", () => handleOf(options)) ?? resolve();
    this.handle.client ??= this;
  }

  /** Scores: `client.score({ name, value, traceId })`, `client.score.create(...)`, `client.score.activeTrace(...)`. */
  get score(): ScoreManager {
    return (this.scores ??= scoreManager(this.handle, (limits) => this.flush(limits)));
  }

  /** Prompts: `await client.prompt.get("name")`. */
  get prompt(): PromptManager {
    return (this.prompts ??= new PromptManager(this.handle));
  }

  /** Stored media. */
  get media(): MediaManager {
    return (this.stored ??= new MediaManager(this.handle));
  }

  /** @internal The object that stands for a handle. */
  static of(handle: Handle): Client {
    return (handle.client ??= new Client({ [ADOPT]: handle } as ClientOptions));
  }

  get publicKey(): string {
    return this.handle.publicKey;
  }

  get baseUrl(): string | null {
    return this.handle.settings.base_url;
  }

  get environment(): string | null {
    return this.handle.settings.environment;
  }

  get release(): string | null {
    return this.handle.settings.release;
  }

  /** False where nothing is recorded: switched off, or without usable keys. */
  get enabled(): boolean {
    return this.handle.enabled;
  }

  /** See the function of this name; it goes to this client. */
  startObservation<T extends LangfuseObservationType = "span">(
    name: string,
    attributes?: AttributesOf[T],
    options?: StartObservationOpts<T>,
  ): ObservationOf[T] {
    return begin(this.handle, name, attributes, options) as ObservationOf[T];
  }

  /** See the function of this name; it goes to this client. */
  startActiveObservation<T extends LangfuseObservationType = "span", R = unknown>(
    name: string,
    fn: (observation: ObservationOf[T]) => R,
    options?: StartActiveObservationOpts<T>,
  ): R {
    return startActive(this.handle, name, fn, options);
  }

  /** See the function of this name; calls go to this client. */
  observe<F extends (...args: any[]) => any>(fn: F, options?: ObserveOptions): F {
    return observeWith(this.handle, fn, options);
  }

  /** Runs `fn`; inside, this is the client of calls that name none. Returns what `fn` returns. */
  use<R>(fn: () => R): R {
    return context.run(current().using(this.handle), fn);
  }

  /** Scores the current observation. */
  scoreActiveObservation(score: ScoreOf): void {
    scoreActive(this.handle, "scoreActiveObservation()", score, false);
  }

  /** Scores the current trace. */
  scoreActiveTrace(score: ScoreOf): void {
    scoreActive(this.handle, "scoreActiveTrace()", score, true);
  }

  /** A trace id: random, or the one that a seed stands for. */
  createTraceId(seed?: string): string {
    return backend().traceId(seed);
  }

  /**
   * Sends what this client has pending, and waits for what is under way: at most `timeout` milliseconds (5,000 by default), whatever
   * the server does. Never rejects. What is not delivered by then is sent later.
   */
  flush(options: { timeout?: number } = {}): Promise<Report> {
    return flush(this.handle, options?.timeout);
  }

  /** `flush` (3,000 by default), then lets go of the connection; what is left is dropped as `evicted`. It may be used again. */
  shutdown(options: { timeout?: number } = {}): Promise<Report> {
    return shutdown(this.handle, options?.timeout);
  }

  /** The same as `flush`, under the name that span processors have. */
  forceFlush(options: { timeout?: number } = {}): Promise<Report> {
    return this.flush(options);
  }

  toJSON(): unknown {
    return { publicKey: this.publicKey, baseUrl: this.baseUrl };
  }

  declare readonly [Symbol.asyncDispose]: () => Promise<void>;
}

// Not in every host yet: then there is no `await using` either.
if (typeof Symbol.asyncDispose === "symbol") {
  Object.defineProperty(Client.prototype, Symbol.asyncDispose, {
    value: async function (this: Client): Promise<void> {
      await this.shutdown();
    },
    configurable: true,
    writable: true,
  });
}

/**
 * The client of a public key; without one that of what is current, the environment's, or the only one there is. Where there is none, one
 * that records nothing, with one line.
 */
export function getClient(publicKey?: string | { publicKey?: string }): Client {
  const key: unknown = attempt("getClient's public key", () => (typeof publicKey === "object" && publicKey !== null ? publicKey.publicKey : publicKey));
  if (key !== undefined && key !== null && typeof key !== "string") {
    tell(`getClient: ${shown(key)} is no public key; it is ignored`);
    return Client.of(resolve());
  }
  return Client.of(resolve(key ?? undefined));
}
