/**
 * The REST client of `@langfuse/client` with this client's time limit: its own is 60 s for each request, whatever it is told, and the
 * timer of a request that failed keeps the process alive as long.
 */
import { AsyncLocalStorage, createHook } from "node:async_hooks";

type Method = (...args: unknown[]) => unknown;

/** What timers a call leaves behind. */
const calls = new AsyncLocalStorage<Set<object>>();
let under = 0;

/** Looks only while a call is under way. Not every host has it: there such timers run out by themselves. */
function made(): { enable(): unknown; disable(): unknown } {
  try {
    return createHook({
      init(_id, type, _trigger, resource) {
        if (type === "Timeout") {
          calls.getStore()?.add(resource);
        }
      },
    });
  } catch {
    return { enable: () => undefined, disable: () => undefined };
  }
}

const hook = made();

function finish(timers: Set<object>): void {
  under -= 1;
  if (under === 0) {
    hook.disable();
  }
  for (const timer of timers) {
    (timer as { unref?: () => void }).unref?.();
  }
}

/** Runs a call; when it is over nothing that it started keeps the process alive. */
function watched(run: () => unknown): unknown {
  const timers = new Set<object>();
  under += 1;
  hook.enable();
  try {
    const result = calls.run(timers, run);
    const over = (): void => finish(timers);
    Promise.resolve(result).then(over, over);
    return result;
  } catch (error) {
    finish(timers);
    throw error;
  }
}

/** Where a method takes its request options; -1 where it takes none. */
function placeOfOptions(method: Method): number {
  const source = Function.prototype.toString.call(method);
  const names = source.slice(source.indexOf("(") + 1, source.indexOf(")")).split(",");
  return names.at(-1)?.trim() === "requestOptions" ? names.length - 1 : -1;
}

function limited(owner: object, method: Method, seconds: number): Method {
  const place = placeOfOptions(method);
  return (...args) => {
    if (place < 0) {
      return method.apply(owner, args);
    }
    const given = args[place] as object | undefined;
    while (args.length < place) {
      args.push(undefined);
    }
    args[place] = { timeoutInSeconds: seconds, ...given };
    return watched(() => method.apply(owner, args));
  };
}

/** The same object, with `seconds` for every request that names no limit of its own. */
export function withLimit<T extends object>(api: T, seconds: number): T {
  const known = new Map<PropertyKey, unknown>();
  return new Proxy(api, {
    get(target, key) {
      if (known.has(key)) {
        return known.get(key);
      }
      const value: unknown = Reflect.get(target, key, target);
      if (typeof key === "symbol" || key.startsWith("_") || key === "constructor") {
        return value;
      }
      let made = value;
      if (typeof value === "function") {
        made = limited(target, value as Method, seconds);
      } else if (typeof value === "object" && value !== null) {
        made = withLimit(value, seconds);
      }
      known.set(key, made);
      return made;
    },
  });
}
