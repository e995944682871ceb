/** Lines for the developer: through a logger that can be replaced, one of a kind a minute, never thrown. */
import type { Notice } from "./backend.js";
import { later } from "./host.js";
import { type Drop, type Logger, home } from "./home.js";

const AGAIN = 60_000;
const MOST_SENTENCES = 1000;
/** Notices are looked for so often (milliseconds) while observations end, and ever more rarely up to this after the last one. */
const LOOK = 1000;
const RAREST_LOOK = 30_000;
/** Rounds of looking after the last observation: more than the ten minutes after which data expires. */
const LAST_LOOK = RAREST_LOOK * 25;

/**
 * Sends the lines of this package to `logger` instead of the console; `null` silences them.
 *
 * @param logger Its `warn` and `error` get one text each. What it throws is ignored.
 */
export function setLogger(logger: Logger | null): void {
  home.logger = logger;
}

export function say(level: "warn" | "error", message: string): void {
  const logger = home.logger === undefined ? console : home.logger;
  try {
    logger?.[level](`tracespool: ${message}`);
  } catch {
    // The application's own logger failed; there is nobody left to tell.
  }
}

/** Tells a sentence, at most once a minute. */
export function tell(sentence: string): void {
  const now = Date.now();
  const before = home.told.get(sentence);
  if (before !== undefined && now - before < AGAIN) {
    return;
  }
  if (home.told.size >= MOST_SENTENCES) {
    home.told.clear();
  }
  home.told.set(sentence, now);
  say("warn", sentence);
}

/** Runs `work` on what the application passed; what that throws is told, and `undefined` comes back. */
export function attempt<T>(what: string, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    unreadable(what, error);
    return undefined;
  }
}

/** Says that something of the application's threw when it was looked at. */
export function unreadable(what: string, error: unknown): void {
  tell(`${what} cannot be read: ${shown(error instanceof Error ? error.message : error)}`);
}

/** A value as it may stand in a sentence: short. */
export function shown(value: unknown): string {
  try {
    const text = typeof value === "string" ? JSON.stringify(value) : typeof value === "object" ? Object.prototype.toString.call(value) : String(value);
    return text.length > 60 ? `${text.slice(0, 60)}...` : text;
  } catch {
    return typeof value;
  }
}

/**
 * Calls `callback` with what was given up instead of delivered: lane, reason, count and public key. Called from a timer, in
 * `flush()`, `shutdown()` and at exit, never while an observation ends. What it throws is logged.
 *
 * @returns A function that takes the callback away again.
 */
export function onDrop(callback: (drop: Drop) => unknown): () => void {
  if (typeof callback !== "function") {
    tell(`onDrop: ${shown(callback)} is no function; it is ignored`);
    return () => undefined;
  }
  home.onDrop.add(callback);
  return () => {
    home.onDrop.delete(callback);
  };
}

/** Hands on what the core has to say. */
export function deliver(all = false): void {
  attempt("what the core has to say", () => {
    const text = home.backend?.notices(all);
    if (text) {
      take(text);
    }
    if (home.lines.size > 0) {
      sayLines(all);
    }
  });
}

function take(text: string): void {
  for (const notice of JSON.parse(text) as Notice[]) {
    // The core tells a line of each kind for each key a minute; with a thousand keys that is a thousand lines.
    const line = home.lines.get(notice.message);
    if (line === undefined) {
      if (home.lines.size >= MOST_SENTENCES) {
        home.lines.clear();
      }
      home.lines.set(notice.message, { kind: notice.kind, count: notice.count, told: -AGAIN });
    } else {
      line.count += notice.count;
    }
    if (notice.kind === "dropped") {
      const drop = { lane: notice.lane ?? "observations", reason: notice.reason ?? "", count: notice.count, publicKey: notice.public_key };
      for (const callback of home.onDrop) {
        try {
          callback(drop);
        } catch (error) {
          say("warn", `an onDrop callback failed: ${String(error)}`);
        }
      }
    }
  }
}

/** Says the lines that have not been said for a minute; all that there are where the process ends. */
function sayLines(all: boolean): void {
  const now = performance.now();
  for (const [message, line] of home.lines) {
    if (line.count > 0 && (all || now - line.told >= AGAIN)) {
      say(line.kind === "panic" ? "error" : "warn", line.count > 1 ? `${message} (${line.count} times)` : message);
      line.told = now;
      line.count = 0;
    }
  }
}

/** Something was handed over: notices may follow. */
export function expect(): void {
  home.pause = 0;
  home.handed += 1;
  if (home.timer === undefined) {
    arm(LOOK);
  }
}

function arm(pause: number): void {
  home.timer = later(look, pause);
}

function look(): void {
  home.timer = undefined;
  deliver();
  // After the last observation ever more rarely: a server may answer late.
  const waited = home.pause;
  home.pause = waited === 0 ? LOOK : waited + Math.min(waited, RAREST_LOOK);
  if (waited < LAST_LOOK) {
    arm(Math.max(LOOK, Math.min(waited, RAREST_LOOK)));
  }
}
