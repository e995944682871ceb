/** One call and its observation, from the request to the end of the answer, wherever that is seen. */
import { type Ends, type Observation, follow, isPending, tell } from "../internal.js";
import { fields as answerFields } from "./answer.js";
import { type Collector, collector } from "./chunks.js";
import { tap } from "./raw.js";
import type { Fields, Kind } from "./request.js";

const FREE = { input: 0, output: 0, total: 0 };

/** Promises, responses and streams that the application has let go of. */
const forgotten = new FinalizationRegistry<Call>((call) => call.letGo());

/** What the package's methods return: a promise that parses the answer when it is first asked for it. */
interface ApiPromise {
  responsePromise: Promise<unknown>;
  parseResponse(...args: unknown[]): unknown;
  parsedPromise?: unknown;
  asResponse?(): Promise<unknown>;
  _thenUnwrap?(transform: (value: unknown, ...more: unknown[]) => unknown): ApiPromise;
}

/** The package's streams. */
interface Stream {
  iterator?: unknown;
  controller?: { signal?: AbortSignal };
  [Symbol.asyncIterator]?: unknown;
}

/** An observation that is open until `finish` or `fail`; both may be called again. */
export class Call implements Ends {
  private chunks: Collector | undefined;
  private began: Date | undefined;
  private over = false;
  /** True once the package parses the answer: nobody else reads the body then. */
  private parsed = false;
  /** Objects through which the answer can still be read. */
  private holders = 0;
  /** Reads of a stream that have not been answered. */
  private reading = 0;
  private leave: (() => void) | undefined;

  constructor(
    private readonly kind: Kind,
    private readonly observation: Observation,
    private readonly parameters: Fields,
    private readonly streamed: boolean,
  ) {}

  // ------------------------------------------------------------------------------------------------ the end

  /** Ends it with what is known by now. */
  finish(said?: Fields): void {
    if (this.over) {
      return;
    }
    this.over = true;
    forgotten.unregister(this);
    this.leave?.();
    this.leave = undefined;
    const { observation } = this;
    try {
      const fields = said ?? this.chunks?.fields(this.parameters);
      if (fields !== undefined || this.began !== undefined) {
        observation.take({ completionStartTime: this.began, ...fields });
      }
    } catch (error) {
      tell(`an answer of OpenAI cannot be read: ${String(error)}`);
    }
    this.chunks = undefined;
    observation.end();
  }

  /** Ends it with what was thrown, and what had come until then. */
  fail(error: unknown): void {
    if (this.over) {
      return;
    }
    this.observation.fail(error);
    if (this.chunks === undefined) {
      this.observation.take({ costDetails: FREE });
    }
    this.finish();
  }

  private heldBy(holder: object): void {
    this.holders += 1;
    forgotten.register(holder, this, this);
  }

  /** Once nothing is left that it could be read through, nobody will. */
  letGo(): void {
    this.holders -= 1;
    if (this.holders === 0) {
      this.finish();
    }
  }

  done(value: unknown): unknown {
    return this.answered(value);
  }

  failed(error: unknown): void {
    this.fail(error);
  }

  // ------------------------------------------------------------------------------------------------ the answer

  /** Follows what the method returned; the application gets the same object wherever that can be told of its end. */
  follow(result: unknown): unknown {
    try {
      if (typeof result === "object" && result !== null && isPending(result)) {
        const promise = result as Partial<ApiPromise>;
        if (promise.responsePromise instanceof Promise && typeof promise.parseResponse === "function") {
          this.promised(promise as ApiPromise);
          return result;
        }
        return follow(result, this.observation, this);
      }
    } catch (error) {
      tell(`a call to OpenAI cannot be followed: ${String(error)}`);
      this.finish({});
      return result;
    }
    return this.answered(result);
  }

  /**
   * Nothing is asked of it that the application does not ask for: what it parses is recorded on its way. A request that fails is known
   * at once; its promise is replaced by one that rejects the same way, so that a rejection that nobody handles stays one.
   */
  private promised(promise: ApiPromise): void {
    const { responsePromise, parseResponse, asResponse, _thenUnwrap: unwrap } = promise;
    const own = (name: string, value: unknown): void => {
      Object.defineProperty(promise, name, { value, configurable: true, writable: true });
    };
    promise.responsePromise = responsePromise.then(undefined, (error: unknown) => {
      this.fail(error);
      throw error;
    });
    promise.parseResponse = async (...args: unknown[]) => {
      this.parsed = true;
      let value: unknown;
      try {
        value = await parseResponse.apply(promise, args);
      } catch (error) {
        this.fail(error);
        throw error;
      }
      return this.answered(value);
    };
    if (typeof asResponse === "function") {
      own("asResponse", async () => {
        const response = await asResponse.call(promise);
        return this.parsed || this.over ? response : this.raw(response);
      });
    }
    if (typeof unwrap === "function") {
      // The package's helpers make another promise of it, which takes its place.
      own("_thenUnwrap", (transform: (value: unknown, ...more: unknown[]) => unknown) => {
        promise.responsePromise.catch(() => undefined);
        const next = unwrap.call(promise, (value: unknown, ...more: unknown[]) => {
          this.parsed = true;
          return transform(this.answered(value), ...more);
        });
        this.promised(next);
        return next;
      });
    }
    this.heldBy(promise);
  }

  /** The response itself, whose body the application reads: what it reads is recorded. */
  private raw(response: unknown): unknown {
    try {
      if (this.streamed) {
        this.chunks = collector(this.kind);
      }
      tap(response as Response, this.streamed, {
        item: (value) => (this.streamed ? this.add(value) : this.finish(answerFields(this.kind, value, this.parameters))),
        end: () => this.finish(),
        failed: (error) => this.fail(error),
        body: (body) => this.heldBy(body),
      });
      this.heldBy(response as object);
    } catch (error) {
      tell(`a response of OpenAI cannot be followed: ${String(error)}`);
      this.finish({});
    }
    return response;
  }

  /** Records an answer, or watches over one that is still to come. Returns what the application gets. */
  private answered(value: unknown): unknown {
    if (this.over || this.chunks !== undefined) {
      return value;
    }
    try {
      if (typeof value === "object" && value !== null) {
        const stream = value as Stream;
        if (typeof stream.iterator === "function" || typeof stream[Symbol.asyncIterator] === "function") {
          return this.watch(stream);
        }
      }
      this.finish(answerFields(this.kind, value, this.parameters));
    } catch (error) {
      tell(`an answer of OpenAI cannot be read: ${String(error)}`);
      this.finish({});
    }
    return value;
  }

  // ------------------------------------------------------------------------------------------------ streams

  private add(chunk: unknown): void {
    if (this.over) {
      return;
    }
    try {
      this.began ??= new Date();
      this.chunks?.add(chunk);
    } catch (error) {
      tell(`a chunk of OpenAI cannot be read: ${String(error)}`);
    }
  }

  /** Follows a stream: its end, its failure, its being left, aborted or forgotten ends the observation. Nothing is read ahead. */
  private watch(stream: Stream): unknown {
    this.chunks = collector(this.kind);
    const { iterator, [Symbol.asyncIterator]: iterate } = stream as { iterator?: () => AsyncIterator<unknown>; [Symbol.asyncIterator]: () => AsyncIterator<unknown> };
    if (typeof iterator === "function") {
      // All ways to read the package's streams begin here.
      stream.iterator = () => this.iterated(iterator.call(stream));
    } else if (typeof (stream as { next?: unknown }).next === "function") {
      return this.iterated(stream as AsyncIterator<unknown>);
    } else {
      Object.defineProperty(stream, Symbol.asyncIterator, { value: () => this.iterated(iterate.call(stream)), configurable: true, writable: true });
    }
    const signal = stream.controller?.signal;
    if (signal instanceof AbortSignal) {
      this.untilAborted(signal);
    }
    this.heldBy(stream);
    return stream;
  }

  /** The signal is the request's and lives as long: nothing here may refer to the stream, or it would never be forgotten. */
  private untilAborted(signal: AbortSignal): void {
    // A read that is under way tells itself how it ends.
    const aborted = (): void => {
      if (this.reading === 0) {
        this.finish();
      }
    };
    signal.addEventListener("abort", aborted, { once: true });
    const held = new WeakRef(signal);
    this.leave = () => held.deref()?.removeEventListener("abort", aborted);
  }

  private iterated(inner: AsyncIterator<unknown>): AsyncIterator<unknown> {
    const ok = (result: IteratorResult<unknown>): IteratorResult<unknown> => {
      this.reading -= 1;
      if (result.done === true) {
        this.finish();
      } else {
        this.add(result.value);
      }
      return result;
    };
    const bad = (error: unknown): never => {
      this.reading -= 1;
      this.fail(error);
      throw error;
    };
    const read = (step: () => Promise<IteratorResult<unknown>>): Promise<IteratorResult<unknown>> => {
      this.reading += 1;
      try {
        return Promise.resolve(step()).then(ok, bad);
      } catch (error) {
        return bad(error);
      }
    };
    // The prototype's, so that what else an iterator can do stays.
    const outer = Object.create(Object.getPrototypeOf(inner) as object) as AsyncIterator<unknown>;
    const own: Record<string | symbol, unknown> = {
      next: (...args: [] | [unknown]) => read(() => inner.next(...args)),
      return: (value?: unknown) => {
        this.finish();
        return typeof inner.return === "function" ? inner.return(value) : Promise.resolve({ done: true, value });
      },
      throw: (error: unknown) => read(() => (typeof inner.throw === "function" ? inner.throw(error) : Promise.reject(error))),
      [Symbol.asyncIterator]: () => outer,
    };
    for (const name of Reflect.ownKeys(own)) {
      Object.defineProperty(outer, name, { value: own[name], configurable: true, writable: true });
    }
    this.heldBy(outer);
    return outer;
  }
}
