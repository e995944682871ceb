/**
 * Moves bytes for the core with the host's `fetch`.
 *
 * Edge hosts tie timers, fetches and promises to the request that made them. So everybody who waits for something drives by himself, in a
 * pump of his own, and nobody awaits what another request made: pumps share the core's state and nothing else.
 */
import { type Core, Texts } from "./wasm.js";

/**
 * Smaller bodies are not worth the compressor: these hosts bill its time, make its memory anew for each body, and what a connection
 * carries before it waits for the other side (14 KB, RFC 6928) arrives as soon uncompressed.
 */
const COMPRESS_ABOVE = 16_384;
/** How often a pump looks for what other requests' pumps have done (milliseconds). */
const LOOK = 20;
/** How often at least one of all pumps turns where others may be gone (milliseconds): a thousand that look need not all turn. */
const FRESH = 5;
/** So long after its deadline a flight is forgotten (milliseconds): later than by the core. */
const LOST = 2000;
/** Bytes that a page may have under way in requests that outlive it (the standard's limit, less what headers and others may take). */
const OUTLIVING = 60_000;
/** Longest sleep: timers take no more than 31 bits. */
const LONGEST = 60_000;

/** One request under way. */
interface Flight {
  readonly controller: AbortController;
  readonly pump: Pump;
  readonly deadline: number;
}

interface Asked {
  method: string;
  url: string;
  gzip: boolean;
  /** Milliseconds on the monotonic clock. */
  deadline: number;
  most: number;
  wanted: string[];
  headers: Record<string, string>;
}

export class Driver {
  readonly texts: Texts;
  readonly flights = new Map<number, Flight>();
  /** Set where the module trapped. */
  broken = false;
  /** Bytes under way in requests that outlive the page. */
  outliving = 0;
  /** When anybody turned last (monotonic milliseconds). */
  private turned = Number.NEGATIVE_INFINITY;
  /** When that said to turn again. */
  next = 0;

  /** @param page The host is a page, which may be left at any moment: what is small enough outlives it. */
  constructor(
    readonly core: Core,
    private readonly page: boolean,
  ) {
    this.texts = new Texts(core);
  }

  /** Whether nothing waits and nothing is under way; so it is for a module that trapped. */
  isIdle(): boolean {
    return this.asked((core) => core.isIdle() !== 0, true);
  }

  /** Requests under way, whoever began them. */
  inFlight(): number {
    return this.asked((core) => core.inFlight(), 0);
  }

  /** Whether a request with such a body is to outlive the page. */
  outlives(size: number): boolean {
    return this.page && this.outliving + size <= OUTLIVING;
  }

  private asked<T>(what: (core: Core) => T, otherwise: T): T {
    if (!this.broken) {
      try {
        return what(this.core);
      } catch {
        this.broken = true;
      }
    }
    return otherwise;
  }

  /** When to turn next, whoever does. */
  due(): number {
    return Math.min(this.next, this.turned + FRESH);
  }

  /** Sets the clocks and looks at everything whose time has come; what is to be sent is begun by `pump`. */
  turn(pump: Pump): void {
    const { core, texts } = this;
    this.next = Number.POSITIVE_INFINITY;
    if (this.broken) {
      return;
    }
    try {
      this.turned = performance.now();
      core.tell(this.turned, Date.now());
      const next = core.turn();
      this.forgetLost();
      for (;;) {
        const action = core.nextAction();
        if (action === 0) {
          this.next = next;
          return;
        }
        if (action < 0) {
          this.cancel(-action, pump);
        } else {
          // Its text is as long as the answer says; it is read before anything else is asked.
          pump.begin(action, read(texts), this.body());
        }
      }
    } catch {
      this.broken = true;
    }
  }

  /** The body that was handed out last. */
  private body(): Uint8Array<ArrayBuffer> {
    const { core, texts } = this;
    let size = 0;
    for (let at = 0; ; at += 1) {
      const length = core.pieceLength(at);
      if (length < 0) {
        break;
      }
      size += length;
    }
    const body = new Uint8Array(size);
    for (let at = 0, filled = 0; filled < size; at += 1) {
      const length = core.pieceLength(at);
      texts.copy(core.piece(at), length, body, filled);
      filled += length;
    }
    core.forget();
    return body;
  }

  /** What requests that are gone have left behind; the core has given it up by itself. */
  private forgetLost(): void {
    const now = performance.now();
    for (const [slot, { deadline }] of this.flights) {
      if (now > deadline + LOST) {
        this.flights.delete(slot);
      }
    }
  }

  private cancel(slot: number, pump: Pump): void {
    const flight = this.flights.get(slot);
    this.flights.delete(slot);
    if (flight?.pump === pump) {
      flight.controller.abort();
    }
    // Another request's fetch is not ours to end. It ends with its deadline, and what it says then means nothing any more.
  }

  answered(slot: number, response: Response, wanted: string[], body: Uint8Array): void {
    const kept = wanted.flatMap((name) => {
      const value = response.headers.get(name);
      return value === null ? [] : [name, value];
    });
    // A redirect that is not followed has no status in browsers.
    const status = response.type === "opaqueredirect" ? 302 : response.status;
    this.tell(slot, (core, texts) =>
      core.outcome(
        slot,
        status,
        texts.first(response.headers.get("content-type")),
        texts.next(response.headers.get("retry-after")),
        texts.next(kept.join("\n")),
        texts.raw(body),
      ),
    );
  }

  failed(slot: number, late: boolean, error: unknown): void {
    const detail = late ? "no answer in time" : error instanceof Error ? error.message : String(error);
    this.tell(slot, (core, texts) => core.failed(slot, late ? 1 : 0, texts.first(detail)));
  }

  private tell(slot: number, what: (core: Core, texts: Texts) => void): void {
    if (this.broken || !this.flights.delete(slot)) {
      return;
    }
    try {
      this.core.tell(performance.now(), Date.now());
      what(this.core, this.texts);
    } catch {
      this.broken = true;
    }
  }
}

function read(texts: Texts): Asked {
  const lines = texts.last().split("\n");
  const [method, url, gzip, deadline, most, wanted, ...rest] = lines as [string, string, string, string, string, string, ...string[]];
  const headers: Record<string, string> = {};
  for (let at = 0; at + 1 < rest.length; at += 2) {
    headers[rest[at] as string] = rest[at + 1] as string;
  }
  return {
    method,
    url,
    gzip: gzip === "1",
    deadline: Number(deadline),
    most: Number(most),
    wanted: wanted === "" ? [] : wanted.split(","),
    headers,
  };
}

/** One request's part in moving bytes; made where it runs, and never used by another. */
export class Pump {
  private waking: (() => void) | undefined;
  private woken = true;
  private mine = 0;

  constructor(private readonly driver: Driver) {}

  /** Requests that this pump has begun and that have not ended. */
  get busy(): boolean {
    return this.mine > 0;
  }

  /** When what it has begun has ended. */
  async landed(): Promise<void> {
    while (this.busy) {
      await this.sleep(LOOK * 5);
    }
  }

  /** Looks again now. */
  wake(): void {
    this.woken = true;
    this.waking?.();
  }

  /**
   * Drives until `done`, or until `until` on the monotonic clock.
   *
   * @param unref Lets the host's process end although the timer is pending.
   */
  async run(done: () => boolean, until: number, unref?: (timer: unknown) => void): Promise<void> {
    const { driver } = this;
    // Asked before each turn: whoever has what he waited for begins nothing for others any more.
    while (!done() && !driver.broken) {
      if (this.woken || performance.now() >= driver.due()) {
        this.woken = false;
        driver.turn(this);
        if (done()) {
          return;
        }
      }
      const now = performance.now();
      if (now >= until) {
        return;
      }
      // What other requests' pumps have begun ends without telling us.
      const look = driver.inFlight() > this.mine ? now + LOOK : until;
      await this.sleep(Math.max(1, Math.min(driver.next, look, until, now + LONGEST) - now), unref);
    }
  }

  private sleep(milliseconds: number, unref?: (timer: unknown) => void): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      unref?.(timer);
      this.waking = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  begin(slot: number, asked: Asked, body: Uint8Array<ArrayBuffer>): void {
    const controller = new AbortController();
    this.driver.flights.set(slot, { controller, pump: this, deadline: asked.deadline });
    this.mine += 1;
    void this.carry(slot, asked, body, controller).then(() => {
      this.mine -= 1;
      this.wake();
    });
  }

  /** Never rejects. */
  private async carry(slot: number, asked: Asked, body: Uint8Array<ArrayBuffer>, controller: AbortController): Promise<void> {
    const { driver } = this;
    const size = body.length;
    const outlives = driver.outlives(size);
    driver.outliving += outlives ? size : 0;
    let late = false;
    const timer = setTimeout(
      () => {
        late = true;
        controller.abort();
      },
      Math.max(1, asked.deadline - performance.now()),
    );
    try {
      const { method, headers } = asked;
      let content: Uint8Array<ArrayBuffer> | null = body.length > 0 ? body : null;
      const { CompressionStream: Compressor } = globalThis;
      // A page that is left waits for no compressor.
      if (content !== null && asked.gzip && !outlives && content.length > COMPRESS_ABOVE && typeof Compressor === "function") {
        content = await compressed(content, new Compressor("gzip"));
        headers["content-encoding"] = "gzip";
      }
      const { signal } = controller;
      const init: RequestInit = { method, headers, body: content, redirect: "manual", signal };
      if (outlives) {
        init.keepalive = true;
      }
      const response = await fetch(asked.url, init);
      driver.answered(slot, response, asked.wanted, await firstBytes(response, asked.most));
    } catch (error) {
      driver.failed(slot, late, error);
    } finally {
      clearTimeout(timer);
      driver.outliving -= outlives ? size : 0;
    }
  }
}

/** The compressor is not named, only looked up: Next warns of every file that names what its edge runtime does not have. */
async function compressed(body: Uint8Array<ArrayBuffer>, compressor: CompressionStream): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([body]).stream().pipeThrough(compressor);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The beginning of a body; the rest is not read. */
async function firstBytes(response: Response, most: number): Promise<Uint8Array> {
  const length = response.headers.get("content-length");
  if (length !== null && Number(length) <= most) {
    // At once: a reader costs more than what it reads.
    return new Uint8Array(await response.arrayBuffer());
  }
  const reader = response.body?.getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  while (reader !== undefined && size < most) {
    const { done, value } = await reader.read();
    if (done) {
      break;
    }
    parts.push(value);
    size += value.length;
  }
  if (size >= most) {
    reader?.cancel().catch(() => undefined);
  }
  const all = new Uint8Array(Math.min(size, most));
  let at = 0;
  for (const part of parts) {
    const kept = part.subarray(0, all.length - at);
    all.set(kept, at);
    at += kept.length;
  }
  return all;
}
