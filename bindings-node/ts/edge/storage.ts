/**
 * What is current, where the host can tell after an `await` and where it cannot. Nothing is imported: a host that has no
 * `node:async_hooks` would refuse the whole script.
 */
import type { AsyncLocalStorage as Storage } from "node:async_hooks";

type Class = new <T>() => Pick<Storage<T>, "getStore" | "run">;

/**
 * Stands in where the host has none: what is current holds until the function returns, or until its first `await`. After that a parent
 * is named by hand: `observation.startObservation(...)`.
 */
class Synchronous<T> {
  private store: T | undefined;

  getStore(): T | undefined {
    return this.store;
  }

  run<R>(store: T, fn: (...args: any[]) => R, ...args: unknown[]): R {
    const outer = this.store;
    this.store = store;
    try {
      return fn(...args);
    } finally {
      this.store = outer;
    }
  }
}

interface Host {
  AsyncLocalStorage?: Class;
  process?: { getBuiltinModule?(name: string): { AsyncLocalStorage?: Class } | undefined };
}

function found(): Class {
  const host = globalThis as Host;
  try {
    // Vercel's and Next's edge runtimes have it as a global; Workers with `nodejs_compat`, Deno, Bun and Node as a module.
    return host.AsyncLocalStorage ?? host.process?.getBuiltinModule?.("node:async_hooks")?.AsyncLocalStorage ?? Synchronous;
  } catch {
    return Synchronous;
  }
}

export const AsyncLocalStorage = /* @__PURE__ */ found() as unknown as typeof Storage;

/** Whether what is current survives an `await`. */
export const survives = /* @__PURE__ */ ((): boolean => (AsyncLocalStorage as unknown) !== Synchronous)();
