/** Results that are consumed after the function has returned: their end is the observation's. */
import type { Ends } from "./active.js";
import { Collected } from "./collected.js";
import { ERROR_MONITOR } from "./host.js";
import type { Observation } from "./observation.js";
import { enter } from "./otel.js";

/** What a stream yields on its way to the application, and its end. */
class Following {
  private over = false;
  private readonly items: Collected;

  constructor(
    private readonly observation: Observation,
    private readonly ends: Ends & { captureOutput?: boolean },
  ) {
    this.items = new Collected(observation, ends.captureOutput !== false);
  }

  /** Runs the producer's code: with the observation as the current one. */
  inside<R>(fn: () => R): R {
    return enter(this.observation.scope, fn, undefined);
  }

  item(value: unknown): void {
    if (!this.over) {
      this.items.add(value);
    }
  }

  /** What the producer answered: an item, or that there is none any more. */
  step(result: IteratorResult<unknown>): void {
    if (result.done === true) {
      this.end();
    } else {
      this.item(result.value);
    }
  }

  /** At its end, cancelled or given up half way. */
  end(): void {
    if (!this.over) {
      this.over = true;
      this.items.put(true);
      this.ends.done(undefined);
    }
  }

  failed(error: unknown): void {
    if (!this.over) {
      this.over = true;
      this.items.put(false);
      this.ends.failed(error);
    }
  }
}

interface Streamish {
  next?: unknown;
  return?: unknown;
  pipe?: unknown;
  push?: unknown;
  on?: unknown;
  getReader?: unknown;
  locked?: unknown;
  [Symbol.iterator]?: unknown;
  [Symbol.asyncIterator]?: unknown;
}

/** What stands for a stream: the same object where that can be told of its end, another one of the same kind otherwise. `undefined` for what is none. */
export function followStream(result: object, observation: Observation, ends: Ends & { captureOutput?: boolean }): object | undefined {
  try {
    const stream = result as Streamish;
    if (typeof ReadableStream === "function" && result instanceof ReadableStream) {
      return result.locked ? undefined : readable(result as ReadableStream<unknown>, new Following(observation, ends));
    }
    if (typeof stream.pipe === "function" && typeof stream.on === "function" && "readable" in stream) {
      return nodeStream(result as NodeStream, new Following(observation, ends));
    }
    if (typeof stream.next === "function") {
      if (typeof stream[Symbol.asyncIterator] === "function") {
        return asyncIterator(result as AsyncGenerator, new Following(observation, ends));
      }
      return typeof stream[Symbol.iterator] === "function" ? iterator(result as Generator, new Following(observation, ends)) : undefined;
    }
    if (typeof stream[Symbol.asyncIterator] === "function") {
      return asyncIterable(result as AsyncIterable<unknown>, new Following(observation, ends));
    }
  } catch {
    // A proxy that refuses, or an object that cannot be changed: it is a plain result.
  }
  return undefined;
}

/** An object with the prototype of another, so that `instanceof` and inherited methods stay. */
function like<T extends object>(inner: T, own: Record<string, unknown>): T {
  const outer = Object.create(Object.getPrototypeOf(inner) as object) as T;
  for (const [name, value] of Object.entries(own)) {
    Object.defineProperty(outer, name, { value, configurable: true, writable: true });
  }
  return outer;
}

function iterator(inner: Generator, following: Following): Generator {
  const step = (run: () => IteratorResult<unknown>): IteratorResult<unknown> => {
    let result: IteratorResult<unknown>;
    try {
      result = following.inside(run);
    } catch (error) {
      following.failed(error);
      throw error;
    }
    following.step(result);
    return result;
  };
  const outer = like(inner, {
    next: (...sent: [unknown]) => step(() => inner.next(...sent)),
    return: (value: unknown) => (typeof inner.return === "function" ? step(() => inner.return(value)) : (following.end(), { done: true, value })),
    throw: (error: unknown) => step(() => inner.throw(error)),
  });
  Object.defineProperty(outer, Symbol.iterator, { value: () => outer, configurable: true });
  return outer;
}

function asyncSteps(inner: AsyncIterator<unknown>, following: Following): Record<string, unknown> {
  const step = async (run: () => Promise<IteratorResult<unknown>>): Promise<IteratorResult<unknown>> => {
    let result: IteratorResult<unknown>;
    try {
      result = await following.inside(run);
    } catch (error) {
      following.failed(error);
      throw error;
    }
    following.step(result);
    return result;
  };
  return {
    next: (...sent: [unknown]) => step(() => inner.next(...sent)),
    return: (value: unknown) =>
      step(async () => (typeof inner.return === "function" ? inner.return(value) : { done: true, value: (await value) as unknown })),
    throw: (error: unknown) =>
      step(async () => {
        if (typeof inner.throw === "function") {
          return inner.throw(error);
        }
        throw error;
      }),
  };
}

function asyncIterator(inner: AsyncGenerator, following: Following): AsyncGenerator {
  const outer = like(inner, asyncSteps(inner, following));
  Object.defineProperty(outer, Symbol.asyncIterator, { value: () => outer, configurable: true });
  return outer;
}

/** The object stays what it is; whoever iterates it is followed. */
function asyncIterable(inner: AsyncIterable<unknown>, following: Following): AsyncIterable<unknown> {
  const own = inner[Symbol.asyncIterator].bind(inner);
  Object.defineProperty(inner, Symbol.asyncIterator, {
    value: () => {
      const iterator = own();
      return Object.assign(like(iterator as AsyncGenerator, asyncSteps(iterator, following)), {
        [Symbol.asyncIterator](this: unknown) {
          return this;
        },
      });
    },
    configurable: true,
    writable: true,
  });
  return inner;
}

interface NodeStream {
  push?: (chunk: unknown, ...more: unknown[]) => boolean;
  once(event: string | symbol, listener: (argument: unknown) => void): unknown;
  readableEnded?: boolean;
  destroyed?: boolean;
}

/** What is pushed into it is what it yields; its events tell of its end without making it flow. */
function nodeStream(inner: NodeStream, following: Following): NodeStream | undefined {
  if (inner.readableEnded === true || inner.destroyed === true) {
    return undefined;
  }
  const { push } = inner;
  if (typeof push === "function") {
    Object.defineProperty(inner, "push", {
      value: function (this: unknown, chunk: unknown, ...more: unknown[]): boolean {
        if (chunk !== null && chunk !== undefined) {
          following.item(chunk);
        }
        return push.call(inner, chunk, ...more);
      },
      configurable: true,
      writable: true,
    });
  }
  inner.once("end", () => following.end());
  inner.once(ERROR_MONITOR, (error) => following.failed(error));
  inner.once("close", () => following.end());
  return inner;
}

/** Whether a stream is one of bytes, whose readers may bring their own buffers. */
function isOfBytes(stream: ReadableStream<unknown>): boolean {
  try {
    (stream as ReadableStream<Uint8Array<ArrayBuffer>>).getReader({ mode: "byob" }).releaseLock();
    return true;
  } catch {
    return false;
  }
}

/** Another stream of the same kind that takes from this one only what is asked of it. */
function readable(inner: ReadableStream<unknown>, following: Following): ReadableStream<unknown> {
  const type = isOfBytes(inner) ? "bytes" : undefined;
  const reader = inner.getReader();
  const source = {
    type,
    async pull(controller: ReadableStreamDefaultController | ReadableByteStreamController): Promise<void> {
      try {
        const { done, value } = await following.inside(() => reader.read());
        if (done) {
          following.end();
          controller.close();
          (controller as Partial<ReadableByteStreamController>).byobRequest?.respond(0);
        } else {
          following.item(value);
          controller.enqueue(value as never);
        }
      } catch (error) {
        following.failed(error);
        controller.error(error);
      }
    },
    async cancel(reason: unknown): Promise<void> {
      try {
        await following.inside(() => reader.cancel(reason));
      } finally {
        following.end();
      }
    },
  };
  return new ReadableStream(source as UnderlyingDefaultSource, { highWaterMark: 0 });
}
