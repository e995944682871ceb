/**
 * The application's mask sees content before it is encoded. One that answers with a promise holds the observation back until it settles:
 * for 30 seconds at most, and 10,000 observations at most; beyond, and where a mask fails, the content is dropped, which is counted, and
 * the rest of the observation is sent.
 */
import type { Handle } from "./handle.js";
import { unref } from "./host.js";
import { home } from "./home.js";
import { shown, tell } from "./log.js";
import type { Observation } from "./observation.js";

/** What stands in for content whose mask failed: Langfuse's own words. */
export const MASK_FAILED = "<fully masked due to failed mask function>";

const LONGEST = 30_000;
const MOST_HELD = 10_000;

/** Of an observation: masks that have not answered yet. */
export class Held {
  /** Where their answers go. */
  readonly missing = new Set<(value: unknown) => void>();
  /** When all that was asked so far is put, in the order in which it was asked. */
  settled: Promise<unknown> = Promise.resolve();
  /** When it ended (milliseconds since 1970); 0 while it is open. */
  end = 0;
  over = false;
  private timer: unknown;

  constructor(private readonly of: Observation) {}

  get client(): Handle {
    return this.of.handle;
  }

  wait(answer: PromiseLike<unknown>, put: (value: unknown) => void): void {
    this.missing.add(put);
    const before = this.settled;
    this.settled = (async () => {
      let value: unknown;
      let failed = false;
      try {
        value = await answer;
      } catch {
        failed = true;
      }
      await before;
      if (!this.over && this.missing.delete(put)) {
        if (failed) {
          this.fail(put);
        } else {
          put(value);
        }
        if (this.missing.size === 0 && this.end !== 0) {
          this.give();
        }
      }
    })().catch((error: unknown) => tell(`what a mask answered cannot be read: ${shown(String(error))}`));
  }

  private fail(put: (value: unknown) => void): void {
    const { backend, id } = this.of.handle;
    backend.maskFailed(id);
    put(MASK_FAILED);
  }

  /** The observation has ended, but its content is not there yet. */
  ended(end: number): void {
    this.end = end;
    if (home.held.size >= MOST_HELD) {
      this.giveUp();
      return;
    }
    home.held.add(this);
    this.timer = setTimeout(() => this.giveUp(), LONGEST);
    unref(this.timer);
  }

  /** Sends it without what is missing, which is counted. */
  giveUp(): void {
    if (this.over) {
      return;
    }
    for (const put of this.missing) {
      this.fail(put);
    }
    this.missing.clear();
    this.give();
  }

  private give(): void {
    if (this.over) {
      return;
    }
    this.over = true;
    clearTimeout(this.timer as NodeJS.Timeout);
    home.held.delete(this);
    this.of.give(this.end);
  }
}

/** Shows `data` to the client's mask and hands what comes back to `put`, now or later. */
export function masked(of: Observation, data: unknown, put: (value: unknown) => void): void {
  const { mask, backend, id } = of.handle;
  let answer: unknown;
  try {
    answer = mask === null ? data : mask({ data });
    if (!isThenable(answer) && (of.held === null || of.held.missing.size === 0)) {
      put(answer);
      return;
    }
  } catch {
    backend.maskFailed(id);
    put(MASK_FAILED);
    return;
  }
  of.held ??= new Held(of);
  of.held.wait(answer as PromiseLike<unknown>, put);
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (typeof value === "object" || typeof value === "function") && value !== null && typeof (value as { then?: unknown }).then === "function";
}

/** The observations and spans of a client that have ended and wait for its mask; all clients' without one. */
export function waitingFor(client: Handle | null): Pick<Held, "client" | "settled" | "giveUp">[] {
  const all = [...home.held];
  return client === null ? all : all.filter((held) => held.client === client || held.client.destination === client.destination);
}

/** Waits until they are masked, at most so many milliseconds. */
export async function settleMasks(client: Handle | null, timeout: number): Promise<void> {
  const waiting = waitingFor(client).map((held) => held.settled);
  if (waiting.length > 0 && timeout > 0) {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, timeout);
    });
    await Promise.race([Promise.allSettled(waiting), late]);
    clearTimeout(timer);
  }
}
