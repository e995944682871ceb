/**
 * What all copies of one version of this package in one JavaScript environment share: ESM, CommonJS and bundled ones. It hangs on
 * `globalThis` under a registered symbol and holds plain data and functions only, so that it does not matter which copy made it.
 */
import type { Backend } from "./backend.js";
import type { Handle } from "./handle.js";
import { AsyncLocalStorage } from "./host.js";
import type { Held } from "./mask.js";
import type { Scope } from "./scope.js";

/** The version of this package. */
export const VERSION = "0.1.0";

/** Where lines for the developer go; `console` is one. */
export interface Logger {
  warn(message: string): void;
  error(message: string): void;
}

/** What was dropped, of what and why; see `onDrop`. */
export interface Drop {
  /** `observations`, `scores` or `media`. */
  lane: string;
  /** `queue_full`, `unauthorized`, ... */
  reason: string;
  /** How many. */
  count: number;
  /** Whose. */
  publicKey: string;
}

export interface Home {
  backend: Backend | undefined;
  /** What is current. */
  context: AsyncLocalStorage<Scope>;
  /** The latest handle of each destination, oldest first. */
  handles: Map<string, Handle>;
  /** What a call that names no client found last, and until when that holds (milliseconds of the monotonic clock). */
  root: { handle: Handle; until: number } | undefined;
  /** Lines go nowhere where it is `null`. */
  logger: Logger | null | undefined;
  onDrop: Set<(drop: Drop) => unknown>;
  /** When each sentence was told last, so that none is told more than once a minute. */
  told: Map<string, number>;
  /** What the core had to say: how often since it was said last, and when that was (milliseconds of the monotonic clock). */
  lines: Map<string, { kind: string; count: number; told: number }>;
  /** The timer that looks for notices. */
  timer: unknown;
  /** How long it waits next, in milliseconds; 0 where something has happened since it looked. */
  pause: number;
  /** Whether another copy's or our own span processor sends this span to that destination. */
  exported: ((destination: string, spanId: string) => boolean) | undefined;
  /** What is nearer than our own context's store: the run of a framework whose code runs. */
  nearer: ((store: Scope | undefined) => Scope | undefined) | undefined;
  /** Observations and spans that have ended and wait for an asynchronous mask. */
  held: Set<Pick<Held, "client" | "settled" | "giveUp">>;
  /** What `setLangfuseTracerProvider` was given. */
  provider: unknown;
  /** The exit handlers are there. */
  watched: boolean;
  /** Counts what was handed over, and how much there was when a flush of everything last ran out of time. */
  handed: number;
  waited: number;
  /** When the goodbye's time is up (milliseconds since 1970); 0 before it has begun. */
  goodbye: number;
}

function made(): Home {
  return {
    backend: undefined,
    context: new AsyncLocalStorage<Scope>(),
    handles: new Map(),
    root: undefined,
    logger: undefined,
    onDrop: new Set(),
    told: new Map(),
    lines: new Map(),
    timer: undefined,
    pause: 0,
    exported: undefined,
    nearer: undefined,
    held: new Set(),
    provider: undefined,
    watched: false,
    handed: 0,
    waited: -1,
    goodbye: 0,
  };
}

const place = Symbol.for("tracespool");
const versions = ((globalThis as Record<symbol, unknown>)[place] ??= {}) as Record<string, Home>;

export const home: Home = (versions[VERSION] ??= made());

/** The context's store is read at every observation. */
export const context = home.context;
