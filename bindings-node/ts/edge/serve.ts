/**
 * Handlers of edge hosts: what they trace is sent when they have answered, in one request, and the host is kept working until it is.
 *
 *     export default withTracing({ async fetch(request, env, ctx) { ... } });
 */
import { flushAll } from "../flush.js";
import { home } from "../home.js";
import { take } from "./environment.js";
import { type Visit, type WaitUntil, currentWaitUntil, lives, visits } from "./life.js";
import { SETTLE } from "./native.js";

export interface TracingOptions {
  /** Keeps the host working for a promise; found where the host offers it. Next's `after` may be passed as it is. */
  waitUntil?: WaitUntil;
  /** The same as `waitUntil`: `after` of `next/server`. */
  after?: WaitUntil;
  /** So long what is traced may take after the response, in milliseconds; 10,000 by default. */
  timeout?: number;
}

type Method = (this: unknown, ...args: any[]) => unknown;

/** What Workers, Durable Objects, `Bun.serve` and the like call. */
const METHODS = ["fetch", "queue", "scheduled", "email", "tail", "tailStream", "trace", "alarm", "webSocketMessage", "webSocketClose", "webSocketError"];

interface Context {
  waitUntil?: unknown;
}

/** `waitUntil` of an execution context, a `Deno.serve` info or a Durable Object's state. */
function passed(candidates: unknown[]): WaitUntil | undefined {
  for (const candidate of candidates) {
    if (typeof candidate === "object" && candidate !== null && typeof (candidate as Context).waitUntil === "function") {
      return (promise) => (candidate as { waitUntil: WaitUntil }).waitUntil(promise);
    }
  }
  return undefined;
}

function sent(visit: Visit, options: TracingOptions): void {
  visit.open = false;
  if (home.backend === undefined) {
    return;
  }
  const waitUntil = visit.waitUntil ?? currentWaitUntil();
  if (waitUntil === undefined && lives()) {
    // The host lives on: what is pending is sent with other requests'.
    return;
  }
  try {
    const flush = (): Promise<unknown> => flushAll({ timeout: options.timeout ?? SETTLE });
    if (waitUntil === undefined) {
      void flush();
    } else {
      // The response leaves before anything is encoded and compressed for somebody else.
      waitUntil(
        new Promise((resolve) => {
          setTimeout(resolve);
        }).then(flush),
      );
    }
  } catch {
    // The host takes no more promises for this request; another one's end sends it.
  }
}

function wrapped(method: Method, options: TracingOptions, contextOf: (self: unknown, args: unknown[]) => unknown[]): Method {
  const made = function (this: unknown, ...args: unknown[]): unknown {
    const candidates = contextOf(this, args);
    for (const candidate of candidates) {
      take(candidate);
    }
    const visit: Visit = { waitUntil: options.waitUntil ?? options.after ?? passed(candidates), open: true };
    let result: unknown;
    try {
      result = visits.run(visit, () => method.apply(this, args));
    } catch (error) {
      sent(visit, options);
      throw error;
    }
    if (result instanceof Promise) {
      return result.then(
        (value: unknown) => {
          sent(visit, options);
          return value;
        },
        (error: unknown) => {
          sent(visit, options);
          throw error;
        },
      );
    }
    sent(visit, options);
    return result;
  };
  // Deno passes a request only to handlers that say that they take one.
  return Object.defineProperty(made, "length", { value: method.length });
}

function isClass(value: unknown): value is new (...args: any[]) => object {
  return typeof value === "function" && /^class[\s{]/.test(Function.prototype.toString.call(value));
}

/**
 * Wraps a Worker's handlers (`{ fetch, queue, scheduled, ... }`), a Durable Object's class, a `Bun.serve` configuration, or a function as
 * `Deno.serve`, Vercel and Next take it. What a handler traced is sent after its response, in one request where it fits, and never delays
 * it. A Worker's bindings are read for `LANGFUSE_*` and `TRACESPOOL_*`. What the handler throws is thrown on.
 *
 * @returns The same kind of thing.
 */
export function withTracing<H>(handler: H, options: TracingOptions = {}): H {
  if (isClass(handler)) {
    return inherited(handler, options) as H;
  }
  if (typeof handler === "function") {
    return wrapped(handler as unknown as Method, options, (_self, args) => args.slice(1)) as unknown as H;
  }
  if (typeof handler !== "object" || handler === null) {
    return handler;
  }
  // The prototype stays: handlers may be instances, and call each other.
  const made = Object.create(Object.getPrototypeOf(handler) as object | null, Object.getOwnPropertyDescriptors(handler)) as Record<string, unknown>;
  for (const name of METHODS) {
    const method = (handler as Record<string, unknown>)[name];
    if (typeof method === "function") {
      made[name] = wrapped(method as Method, options, (_self, args) => args.slice(1));
    }
  }
  return made as H;
}

interface Stateful {
  ctx?: unknown;
  state?: unknown;
  env?: unknown;
}

function inherited<C extends new (...args: any[]) => object>(base: C, options: TracingOptions): C {
  const states = new WeakMap<object, unknown[]>();
  const made = class extends base {
    constructor(...args: any[]) {
      super(...args);
      states.set(this, args.slice(0, 2));
    }
  };
  Object.defineProperty(made, "name", { value: base.name });
  for (const name of METHODS) {
    const method = (base.prototype as Record<string, unknown>)[name];
    if (typeof method === "function") {
      Object.defineProperty(made.prototype, name, {
        value: wrapped(method as Method, options, (self) => states.get(self as object) ?? [(self as Stateful).ctx, (self as Stateful).env]),
        configurable: true,
        writable: true,
      });
    }
  }
  return made;
}
