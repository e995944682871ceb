/** Functions that are traced wherever they are called. */
import { type Ends, follow, isPending } from "./active.js";
import { output } from "./apply.js";
import type { LangfuseObservationType, SpanContext } from "./attributes.js";
import { begin } from "./begin.js";
import { type Handle } from "./handle.js";
import { variable } from "./host.js";
import { attempt, shown, tell } from "./log.js";
import type { Observation } from "./observation.js";
import { enter } from "./otel.js";
import { followStream } from "./stream.js";

export interface ObserveOptions {
  /** The function's own name where it is not given. */
  name?: string;
  asType?: LangfuseObservationType;
  /** False leaves the arguments out. True by default (`LANGFUSE_OBSERVE_DECORATOR_IO_CAPTURE_ENABLED`). */
  captureInput?: boolean;
  /** False leaves out what it returns, or what a stream yields. */
  captureOutput?: boolean;
  parentSpanContext?: SpanContext;
  /** False: it is ended by hand, inside the function by `getActiveObservation()`. */
  endOnExit?: boolean;
}

function captures(): boolean {
  const word = (variable("LANGFUSE_OBSERVE_DECORATOR_IO_CAPTURE_ENABLED") ?? "true").toLowerCase();
  if (!["true", "1", "false", "0"].includes(word)) {
    tell(`LANGFUSE_OBSERVE_DECORATOR_IO_CAPTURE_ENABLED ${shown(word)} is neither true nor false; arguments and results are recorded`);
  }
  return word !== "false" && word !== "0";
}

/** One call. */
class Call implements Ends {
  constructor(
    readonly observation: Observation,
    readonly captureOutput: boolean,
    readonly endOnExit: boolean,
  ) {}

  done(value: unknown): unknown {
    const { observation } = this;
    if (this.captureOutput && observation.token !== null && value !== undefined && value !== null) {
      try {
        output(observation, value);
      } catch (error) {
        tell(`what a function returned cannot be read: ${shown(String(error))}`);
      }
    }
    if (this.endOnExit) {
      observation.end();
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

/** One argument is the input itself, several are a list. */
function input(args: unknown[]): { input: unknown } | undefined {
  return args.length === 0 ? undefined : { input: args.length === 1 ? args[0] : args };
}

/**
 * A function that does what `fn` does and is traced: every call is an observation below the current one, with the arguments as input and
 * the result as output. Promises and streams (generators, async iterables, `ReadableStream`, Node's `Readable`) are followed to their
 * end; an observation is current only while the function's own code runs. What is thrown is recorded and thrown on.
 */
export function observe<F extends (...args: any[]) => any>(fn: F, options?: ObserveOptions): F {
  return observeWith(null, fn, options);
}

/** The same on a client. */
export function observeWith<F extends (...args: any[]) => any>(handle: Handle | null, fn: F, options: ObserveOptions = {}): F {
  if (typeof fn !== "function") {
    tell(`observe: ${shown(fn)} is no function; it is returned as it is`);
    return fn;
  }
  const capture = captures();
  const { captureInput = capture, captureOutput = capture, endOnExit = true, parentSpanContext, asType, name } = {
    ...attempt("the options of observe", () => ({ ...options })),
  };
  const called = name ?? (fn.name || "anonymous");
  const start = { asType, parentSpanContext };

  const wrapper = function (this: unknown, ...args: unknown[]): unknown {
    const construct = new.target;
    const observation = begin(handle, called, captureInput ? input(args) : undefined, start);
    const call = new Call(observation, captureOutput, endOnExit);
    let result: unknown;
    try {
      result = enter(
        observation.scope,
        () => (construct === undefined ? fn.apply(this, args) : Reflect.construct(fn, args, construct === wrapper ? fn : construct)),
        undefined,
      );
    } catch (error) {
      call.failed(error);
      throw error;
    }
    if (typeof result === "object" && result !== null && construct === undefined) {
      if (isPending(result)) {
        return follow(result, observation, new Later(call));
      }
      const stream = followStream(result, observation, call);
      if (stream !== undefined) {
        return stream;
      }
    }
    return call.done(result);
  };
  dress(wrapper, fn);
  return wrapper as unknown as F;
}

/** A promise's value may be a stream, which goes on. */
class Later implements Ends {
  constructor(private readonly call: Call) {}

  done(value: unknown): unknown {
    if (typeof value === "object" && value !== null) {
      const stream = followStream(value, this.call.observation, this.call);
      if (stream !== undefined) {
        return stream;
      }
    }
    return this.call.done(value);
  }

  failed(error: unknown): void {
    this.call.failed(error);
  }
}

/** Name, length, prototype and own properties are the function's. */
function dress(wrapper: object, fn: object): void {
  try {
    for (const key of Reflect.ownKeys(fn)) {
      if (key === "arguments" || key === "caller") {
        continue;
      }
      const property = Object.getOwnPropertyDescriptor(fn, key);
      if (property !== undefined && Object.getOwnPropertyDescriptor(wrapper, key)?.configurable !== false) {
        Object.defineProperty(wrapper, key, property);
      }
    }
    if ((fn as { prototype?: unknown }).prototype !== undefined) {
      (wrapper as { prototype: unknown }).prototype = (fn as { prototype: unknown }).prototype;
    }
    const kind: unknown = Object.getPrototypeOf(fn);
    if (kind !== Function.prototype) {
      Object.setPrototypeOf(wrapper, kind as object);
    }
  } catch (error) {
    tell(`observe: a function's properties cannot be copied: ${shown(String(error))}`);
  }
}
