/**
 * The end of the process. Natural end, `process.exit()`, an uncaught throw and an unhandled rejection all come to `exit`, where a
 * synchronous goodbye is possible: the thread that sends is not JavaScript's. `TRACESPOOL_ATEXIT=0` opts out.
 */
import { isMainThread, variable } from "./host.js";
import { home } from "./home.js";
import { deliver, say } from "./log.js";
import { settleMasks } from "./mask.js";

/** The goodbye of all clients together, in milliseconds. */
const GOODBYE = 3000;
/** Where nothing was handed over since a flush that ran out of time. */
const SHORT_GOODBYE = 100;

/** Registered once, when the core is loaded. */
export function watchExit(): void {
  if (home.watched || variable("TRACESPOOL_ATEXIT") === "0") {
    return;
  }
  home.watched = true;
  process.on("beforeExit", beforeExit);
  process.on("exit", atExit);
  process.on("newListener", later);
  const signals = variable("TRACESPOOL_SIGTERM");
  if (signals === "1" || signals === "true") {
    exitOnSignals("SIGTERM");
  }
}

/** Masks that have not answered may do so while the event loop still turns. */
function beforeExit(): void {
  if (home.held.size > 0) {
    void settleMasks(null, GOODBYE).then(giveUpMasks);
  }
}

function giveUpMasks(): void {
  for (const held of home.held) {
    held.giveUp();
  }
}

/** What is left of the goodbye's time, which several calls at the end of a process share. */
function remaining(): number {
  const now = Date.now();
  if (now > home.goodbye + 2 * GOODBYE) {
    home.goodbye = now + GOODBYE;
  }
  return Math.max(0, home.goodbye - now);
}

let moving = false;

/** Handlers of the application may trace yet: ours is to be the last. */
function later(event: string | symbol, listener: unknown): void {
  if (event === "exit" && listener !== atExit && !moving) {
    moving = true;
    process.nextTick(() => {
      process.removeListener("exit", atExit);
      process.on("exit", atExit);
      moving = false;
    });
  }
}

function atExit(): void {
  goodbye();
}

/**
 * Sends what every client has pending, and waits; never longer than what is left of the goodbye's time. Not in a worker: the main thread
 * does it for all, and where that has not loaded the core, the end of the last worker that has sends what is pending.
 */
export function goodbye(): void {
  const { backend } = home;
  if (backend === undefined) {
    return;
  }
  try {
    giveUpMasks();
    if (isMainThread()) {
      const limit = home.waited === home.handed ? SHORT_GOODBYE : GOODBYE;
      const text = backend.goodbye(Math.min(limit, remaining()));
      deliver(true);
      if (text !== "") {
        const { pending, unconfirmed } = JSON.parse(text) as { pending: number; unconfirmed: number };
        if (pending + unconfirmed > 0) {
          say("warn", `the process ends before everything was delivered: ${pending} pending, ${unconfirmed} without an answer`);
        }
      }
    }
  } catch (error) {
    say("warn", `the goodbye failed: ${String(error)}`);
  }
}

/**
 * Says goodbye when one of these signals comes, and then does what it would have done: the process ends, unless the application
 * handles the signal itself. Only in the main thread.
 *
 * @param signals `SIGTERM` and `SIGINT` where none are named.
 * @returns A function that takes the handlers away again.
 */
export function exitOnSignals(...signals: NodeJS.Signals[]): () => void {
  if (!isMainThread()) {
    return () => undefined;
  }
  const handlers = (signals.length > 0 ? signals : (["SIGTERM", "SIGINT"] as const)).map((signal) => {
    const handler = (): void => {
      goodbye();
      if (process.listenerCount(signal) === 1) {
        process.removeListener(signal, handler);
        process.kill(process.pid, signal);
      }
    };
    process.on(signal, handler);
    return () => process.removeListener(signal, handler);
  });
  return () => {
    for (const remove of handlers) {
      remove();
    }
  };
}
