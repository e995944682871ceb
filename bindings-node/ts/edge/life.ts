/**
 * Who keeps working after a response. Long-lived hosts have an event loop of their own; edge hosts stop when a request is over, unless its
 * `waitUntil` was given a promise.
 */
import { AsyncLocalStorage } from "./storage.js";

export type WaitUntil = (promise: Promise<unknown>) => void;

/** A request as its handler sees it. */
export interface Visit {
  /** Keeps the host working for it. */
  readonly waitUntil: WaitUntil | undefined;
  /** Its handler has not answered: what it traces is sent when it has. */
  open: boolean;
}

/** The request that code runs for, where `withTracing` has told. */
export const visits = /* @__PURE__ */ new AsyncLocalStorage<Visit>();

const life = { timers: false, waitUntil: (): WaitUntil | undefined => undefined };

/** Said by the entries: whether timers outlive a request here, and where a request's own `waitUntil` is found. */
export function settle(timers: boolean, waitUntil?: () => WaitUntil | undefined): void {
  life.timers = timers;
  if (waitUntil !== undefined) {
    life.waitUntil = waitUntil;
  }
}

/** Whether timers outlive the request that made them. */
export function lives(): boolean {
  return life.timers;
}

/** The current request's own, passed or found. */
export function currentWaitUntil(): WaitUntil | undefined {
  const passed = visits.getStore()?.waitUntil;
  if (passed !== undefined) {
    return passed;
  }
  try {
    return life.waitUntil();
  } catch {
    return undefined;
  }
}

/** Where `waitUntil` hangs for libraries: on Vercel, and where another host serves Next. */
const REQUEST_CONTEXTS = ["@vercel/request-context", "@next/request-context"];

/** The function behind `waitUntil` of `@vercel/functions`. */
export function vercel(): WaitUntil | undefined {
  for (const name of REQUEST_CONTEXTS) {
    const context = (globalThis as Record<symbol, unknown>)[Symbol.for(name)] as { get?(): { waitUntil?: WaitUntil } | undefined } | undefined;
    const request = context?.get?.();
    if (request?.waitUntil !== undefined) {
      return (promise) => request.waitUntil?.(promise);
    }
  }
  return undefined;
}
