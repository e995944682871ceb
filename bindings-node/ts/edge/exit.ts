/**
 * The end of the host, where it tells: stands in for `../exit.ts`. Deno and Bun let a process live on for what is pending; a page that is
 * left lets a small request finish (`keepalive`). Edge hosts tell nobody: there `waitUntil` is what there is.
 */
import { home } from "../home.js";
import { deliver } from "../log.js";
import { flushAll } from "../flush.js";
import { variable } from "./host.js";
import { driverOf } from "./native.js";

/** The goodbye of all clients together, in milliseconds. */
const GOODBYE = 3000;

/** What is left to say is said, also where nothing is left to send. */
const last = (): void => deliver(true);

interface Host {
  Deno?: unknown;
  document?: { visibilityState?: string };
  process?: { on?(event: string, listener: () => void): void };
  addEventListener?(event: string, listener: (event: Event) => void): void;
}

/** Whether anything waits that was not there when somebody last waited for it in vain. */
function pending(): boolean {
  const driver = home.backend === undefined ? undefined : driverOf(home.backend);
  return driver !== undefined && home.waited !== home.handed && !driver.isIdle();
}

/** Registered once, when the core is loaded. */
export function watchExit(): void {
  if (home.watched || variable("TRACESPOOL_ATEXIT") === "0") {
    return;
  }
  home.watched = true;
  const host = globalThis as Host;
  try {
    if (host.document !== undefined) {
      host.addEventListener?.("pagehide", leave);
      host.addEventListener?.("visibilitychange", () => {
        if (host.document?.visibilityState === "hidden") {
          leave();
        }
      });
    } else if (host.Deno !== undefined) {
      host.addEventListener?.("beforeunload", (event) => {
        if (pending()) {
          event.preventDefault();
          goodbye();
        }
      });
      host.addEventListener?.("unload", last);
    } else if (typeof host.process?.on === "function" && typeof host.process.on.call === "function") {
      host.process.on("beforeExit", () => {
        if (pending()) {
          goodbye();
        }
      });
      host.process.on("exit", last);
    }
  } catch {
    // The host does not take hooks.
  }
}

function leave(): void {
  if (home.backend !== undefined) {
    goodbye();
  }
}

/** Sends what every client has pending. It cannot wait. */
export function goodbye(): void {
  void flushAll({ timeout: GOODBYE }).then(() => deliver(true));
}

/** Signals are not told here. */
export function exitOnSignals(): () => void {
  return () => undefined;
}
