/** The core as WebAssembly. Text crosses as UTF-8 in two buffers of the module's memory; see bindings-wasm/src/texts.rs. */
import type { Backend, CoreOptions } from "../backend.js";
import { tell } from "../log.js";
import { granted } from "./random.js";

/** What the module exports: `bindings-wasm/src`; where it may be absent, the module for tracing alone does not have it. A length of `ABSENT` stands for no text; -1 comes back for none. */
export interface Core {
  memory: WebAssembly.Memory;
  room(size: number): number;
  left(): number;
  leftLength(): number;
  version(): number;
  open(options: number): number;
  settings(handle: number): number;
  find(publicKey: number): number;
  release(handle: number): void;
  keeps(handle: number, traceId: number): number;
  end(handle: number, start: number, end: number, record: number): number;
  hasRoom(handle: number): number;
  span?(handle: number, envelope: number, propagated: number, span: number): number;
  refused(handle: number, count: number): void;
  neverEnded(handle: number, count: number): void;
  maskFailed(handle: number): void;
  score?(handle: number, score: number): number;
  media?(handle: number, traceId: number, spanId: number, field: number, type: number, content: number, text: number): number;
  mediaType?(shape: number): number;
  propagate(outer: number, said: number): number;
  baggage?(record: number): number;
  flush(handle: number, timeout: number, close: number): number;
  cleanup(which: number, timeout: number): number;
  prompt?(handle: number, request: number): number;
  writePrompt?(handle: number, name: number, version: number, body: number): number;
  clearPrompts?(handle: number): void;
  request?(handle: number, method: number, target: number, body: number, timeout: number): number;
  poll(ticket: number): number;
  stats(): number;
  notices(all: number): number;
  traceparent(header: number): number;
  traceId(seed: number): number;
  fields?(): number;
  tell(mono: number, unix: number): void;
  seed(length: number): void;
  rang(): number;
  turn(): number;
  inFlight(): number;
  isIdle(): number;
  nextAction(): number;
  pieceLength(at: number): number;
  piece(at: number): number;
  forget(): void;
  outcome(slot: number, status: number, type: number, retryAfter: number, headers: number, body: number): void;
  failed(slot: number, late: number, detail: number): void;
}

const ABSENT = 0xffff_ffff;
/** The buffer's first size, and the one that outlives a call: as in the module. */
const SMALLEST = 4096;
const KEPT = 256 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NOTHING = new Uint8Array(0);

/** Reads and writes the module's memory. */
export class Texts {
  private view = NOTHING;
  private at = 0;
  private size = 0;
  /** Where the arguments begin, good until the next call into the module. */
  private begin = 0;

  constructor(readonly core: Core) {}

  /** The memory as it is now: growing it replaces it. */
  private bytes(): Uint8Array {
    if (this.view.byteLength === 0 || this.view.buffer !== this.core.memory.buffer) {
      this.view = new Uint8Array(this.core.memory.buffer);
    }
    return this.view;
  }

  private reserve(size: number): Uint8Array {
    if (size > this.size) {
      this.size = Math.max(size, SMALLEST);
      this.begin = this.core.room(this.size) >>> 0;
    }
    return this.bytes();
  }

  /** Begins a call's arguments. */
  first(text: string | null | undefined): number {
    this.at = 0;
    if (this.size > KEPT) {
      // The module has given a buffer of this size back, and begun another one.
      this.size = 0;
    }
    return this.next(text);
  }

  /** The next argument: its length. */
  next(text: string | null | undefined): number {
    if (text === null || text === undefined) {
      return ABSENT;
    }
    const { length } = text;
    // Most text is ASCII: room for three times as much is asked for only where it turns out not to be.
    let bytes = this.reserve(this.at + length + 16);
    let { read, written } = encoder.encodeInto(text, bytes.subarray(this.begin + this.at, this.begin + this.at + length + 16));
    while (read < length) {
      bytes = this.reserve(this.at + written + 3 * (length - read));
      const from = this.begin + this.at + written;
      const more = encoder.encodeInto(text.slice(read), bytes.subarray(from, from + 3 * (length - read)));
      read += more.read;
      written += more.written;
    }
    this.at += written;
    return written;
  }

  /** The next argument, where it is bytes. */
  raw(content: Uint8Array): number {
    this.reserve(this.at + content.length).set(content, this.begin + this.at);
    this.at += content.length;
    return content.length;
  }

  /** What the module left; `null` for none. */
  read(length: number): string | null {
    if (length < 0) {
      return null;
    }
    const from = this.core.left() >>> 0;
    return decoder.decode(this.bytes().subarray(from, from + length));
  }

  /** What the module left beside a number that it answered. */
  last(): string {
    return this.read(this.core.leftLength()) ?? "";
  }

  /** A copy of a part of the memory, into `target`. */
  copy(from: number, length: number, target: Uint8Array, at: number): void {
    target.set(this.bytes().subarray(from >>> 0, (from >>> 0) + length), at);
  }
}

/** What a backend is driven by. */
export interface Wheel {
  /** What a page may be asked for; absent where this is no page. */
  readonly page?: ((options: CoreOptions, env: Record<string, string>) => CoreOptions) | undefined;
  readonly texts: Texts;
  /** Something was handed over that is wanted earlier than the last turn said, or a ticket was made. */
  ring(): void;
  /** An observation without a parent ended: the last one of its trace, as a rule. */
  rooted(): void;
}

/** The ticket of what could not be asked. */
const REFUSED = -1;

/** What a call says that the module for tracing alone cannot carry out. */
function lacking(what: string): string {
  return `only the whole module has ${what}: import "tracespool/full" instead of "tracespool"`;
}

function isForeign(asked: CoreOptions, env: Record<string, string>): boolean {
  const keys = asked.public_key ?? asked.secret_key ?? asked.base_url;
  return asked.otlp_endpoint !== undefined || (keys === undefined && (env["TRACESPOOL_OTLP_ENDPOINT"] ?? env["TRACESPOOL_DIALECT"]) !== undefined);
}

/**
 * The backend over an instance. An instance that trapped is of no use any more: from then on nothing is recorded.
 *
 * @param broken Called once, when that happens.
 */
export function over(wheel: Wheel, env: () => Record<string, string>, broken: (error: unknown) => Backend): Backend {
  const { texts, page } = wheel;
  const { core } = texts;
  let instead: Backend | undefined;

  let seeded = false;
  /** Ids that the core makes (of scores, say) shall differ from those of every other isolate, also where a script has made its client. */
  const seed = (): void => {
    const bytes = granted(32);
    if (bytes !== undefined) {
      texts.first("");
      core.seed(texts.raw(bytes));
      seeded = true;
    }
  };
  /** Runs a call with the clocks set. */
  const call = <T>(work: () => T, otherwise: (backend: Backend) => T): T => {
    if (instead === undefined) {
      try {
        core.tell(performance.now(), Date.now());
        if (!seeded) {
          seed();
        }
        return work();
      } catch (error) {
        instead = broken(error);
      }
    }
    return otherwise(instead);
  };
  const text = (length: number): string => texts.read(length) ?? "";
  const ticket = (work: () => number, otherwise: (backend: Backend) => number): number => {
    const made = call(work, otherwise);
    wheel.ring();
    return made;
  };
  /** Why what was asked last could not be; whoever asked looks at once. */
  let refused = "";
  const asked = <F>(ask: F | undefined, what: string, work: (ask: F) => number, otherwise: (backend: Backend) => number): number => {
    if (ask !== undefined) {
      return ticket(() => work(ask) >>> 0, otherwise);
    }
    refused = JSON.stringify({ error: lacking(what), kind: "failed" });
    return REFUSED;
  };
  return {
    kind: "wasm",
    version: () => call(() => text(core.version()), (other) => other.version()),
    enter: () => undefined,
    hasMain: () => true,
    open: (options) =>
      call(
        () => {
          const found = env();
          const asked = JSON.parse(options) as CoreOptions;
          let said = page === undefined ? { ...asked, env: found } : page(asked, found);
          if (core.score === undefined && isForeign(asked, found)) {
            tell(lacking("other backends than Langfuse"));
            said = { tracing_enabled: false };
          }
          return core.open(texts.first(JSON.stringify(said))) >>> 0;
        },
        (other) => other.open(options),
      ),
    settings: (handle) => call(() => text(core.settings(handle)), (other) => other.settings(handle)),
    find: (publicKey) =>
      call(
        () => text(core.find(texts.first(publicKey))).split(",").filter((number) => number !== "").map(Number),
        (other) => other.find(publicKey),
      ),
    release: (handle) => call(() => core.release(handle), () => undefined),
    keeps: (handle, traceId) => call(() => core.keeps(handle, texts.first(traceId)) !== 0, () => false),
    end: (handle, start, end, record) => {
      if (page !== undefined) {
        tell("in a browser only scores are sent: what is traced there is not recorded");
        return true;
      }
      const said = call(() => core.end(handle, start, end, texts.first(record)), () => 0);
      if ((said & 1) !== 0) {
        wheel.ring();
      }
      if (record.charCodeAt(0) !== 0x31) {
        wheel.rooted();
      }
      return (said & 2) === 0;
    },
    span: (handle, envelope, propagated, span) => {
      if (core.span === undefined) {
        tell(lacking("spans of other instrumentation"));
      } else if (call(() => core.span?.(handle, texts.first(envelope), texts.next(propagated), texts.next(span)), () => 0) !== 0) {
        wheel.ring();
      }
      wheel.rooted();
    },
    hasRoom: (handle) => call(() => core.hasRoom(handle) !== 0, () => true),
    refused: (handle, count) => call(() => core.refused(handle, count), () => undefined),
    neverEnded: (handle, count) => call(() => core.neverEnded(handle, count), () => undefined),
    maskFailed: (handle) => call(() => core.maskFailed(handle), () => undefined),
    score: (handle, score) => {
      if (core.score === undefined) {
        return lacking("scores");
      }
      const problem = call(() => texts.read(core.score?.(handle, texts.first(score)) ?? -1), (other) => other.score(handle, score));
      wheel.ring();
      wheel.rooted();
      return problem;
    },
    media: (handle, traceId, spanId, field, type, content) => {
      if (core.media === undefined) {
        tell(lacking("uploads of media"));
        return null;
      }
      const reference = call(
        () => {
          const lengths = [texts.first(traceId), texts.next(spanId), texts.next(field), texts.next(type)] as const;
          const asText = typeof content === "string";
          const last = asText ? texts.next(content) : texts.raw(content);
          return texts.read(core.media?.(handle, ...lengths, last, asText ? 1 : 0) ?? -1);
        },
        () => null,
      );
      wheel.ring();
      return reference;
    },
    mediaType: (shape) => call(() => texts.read(core.mediaType?.(texts.first(shape)) ?? -1), () => null),
    propagate: (outer, said) =>
      call(
        () => {
          if (core.baggage === undefined && "baggage" in (JSON.parse(said) as object)) {
            tell(lacking("baggage"));
          }
          return text(core.propagate(texts.first(outer), texts.next(said)));
        },
        (other) => other.propagate(outer, said),
      ),
    baggage: (record) => {
      if (core.baggage === undefined) {
        tell(lacking("baggage"));
        return "{}";
      }
      return call(() => text(core.baggage?.(texts.first(record)) ?? 0), (other) => other.baggage(record));
    },
    flush: (handle, timeout, close) =>
      ticket(() => core.flush(handle, timeout, close ? 1 : 0) >>> 0, (other) => other.flush(handle, timeout, close)),
    cleanup: (which, timeout) => ticket(() => core.cleanup(texts.first(which), timeout) >>> 0, (other) => other.cleanup(which, timeout)),
    prompt: (handle, request) =>
      asked(core.prompt, "prompts", (prompt) => prompt(handle, texts.first(request)), (other) => other.prompt(handle, request)),
    writePrompt: (handle, name, version, body) =>
      asked(
        core.writePrompt,
        "prompts",
        (write) => write(handle, texts.first(name), version ?? 0, texts.next(body)),
        (other) => other.writePrompt(handle, name, version, body),
      ),
    clearPrompts: (handle) => call(() => core.clearPrompts?.(handle), () => undefined),
    request: (handle, method, target, body, timeout) =>
      asked(
        core.request,
        "requests to the server",
        (request) => request(handle, texts.first(method), texts.next(target), texts.next(body), timeout),
        (other) => other.request(handle, method, target, body, timeout),
      ),
    poll: (which) => which === REFUSED ? refused : call(() => texts.read(core.poll(which)), (other) => other.poll(which)),
    stats: () => call(() => text(core.stats()), (other) => other.stats()),
    notices: (all) => call(() => text(core.notices(all ? 1 : 0)), () => ""),
    // It cannot wait: what the host allows at its end is the exit hook's.
    goodbye: () => "",
    traceparent: (header) => call(() => texts.read(core.traceparent(texts.first(header))), () => null),
    traceId: (seed) => call(() => text(core.traceId(texts.first(seed))), (other) => other.traceId(seed)),
    fields: () => call(() => text(core.fields?.() ?? 0), (other) => other.fields()),
  };
}
