/** Observations around code that runs: current while it runs, ended when it is over. */
import { context } from "./home.js";
import { isThenable } from "./mask.js";
import type { Observation } from "./observation.js";
import { enter } from "./otel.js";

/** What happens when code is over. */
export interface Ends {
  /** It came to its end with this value. Returns what the application gets instead: the same, or what stands for a stream. */
  done(value: unknown): unknown;
  failed(error: unknown): void;
}

/** Ends an observation without looking at values. */
export class EndsObservation implements Ends {
  constructor(
    readonly observation: Observation,
    readonly endOnExit: boolean,
  ) {}

  done(value: unknown): unknown {
    if (this.endOnExit) {
      this.observation.end();
    }
    return value;
  }

  failed(error: unknown): void {
    this.observation.fail(error);
    if (this.endOnExit) {
      this.observation.end();
    }
  }
}

/** Runs `fn` with the observation as its argument and as the current one. */
export function runActive<R>(observation: Observation, fn: (observation: never) => R, endOnExit: boolean): R {
  let result: R;
  try {
    result = enter(observation.scope, fn, observation);
  } catch (error) {
    new EndsObservation(observation, endOnExit).failed(error);
    throw error;
  }
  if (typeof result === "object" && result !== null && isPending(result)) {
    return follow(result, observation, new EndsObservation(observation, endOnExit)) as R;
  }
  if (endOnExit) {
    observation.end();
  }
  return result;
}

/** Whether a result is a promise or the like; what throws when it is asked is none. */
export function isPending(result: unknown): result is PromiseLike<unknown> {
  try {
    return isThenable(result);
  } catch {
    return false;
  }
}

/**
 * A promise that ends the observation before those who wait for it go on. A plain promise is followed by another one; of anything else
 * (a subclass with methods of its own, a query that begins when it is awaited) the object itself comes back, with a `then` that tells us.
 */
export function follow(result: PromiseLike<unknown>, observation: Observation, ends: Ends): PromiseLike<unknown> {
  const ok = (value: unknown): unknown => ends.done(value);
  const bad = (error: unknown): never => {
    ends.failed(error);
    throw error;
  };
  if (result instanceof Promise && result.constructor === Promise) {
    return result.then(ok, bad);
  }
  const own = result.then;
  let over = false;
  let settled: unknown;
  const then = function (this: unknown, onOk?: ((value: unknown) => unknown) | null, onBad?: ((error: unknown) => unknown) | null): unknown {
    return context.run(observation.scope, () =>
      own.call(
        result,
        (value: unknown) => {
          if (!over) {
            over = true;
            settled = ends.done(value);
          }
          return typeof onOk === "function" ? onOk(settled) : settled;
        },
        (error: unknown) => {
          if (!over) {
            over = true;
            ends.failed(error);
          }
          if (typeof onBad === "function") {
            return onBad(error);
          }
          throw error;
        },
      ),
    );
  };
  try {
    Object.defineProperty(result, "then", { value: then, configurable: true, writable: true });
    return result;
  } catch {
    // Frozen, or a proxy that refuses.
    return Promise.resolve(result).then(ok, bad);
  }
}
