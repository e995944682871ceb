/** Hosts that freeze or end the process as soon as an answer is out: what was traced has to be sent before that. */
import { type Client, flushAll, require, shown, tell, variable } from "../internal.js";

/** Where `waitUntil` hangs for libraries: on Vercel, and where another host serves Next. */
const REQUEST_CONTEXTS = [Symbol.for("@vercel/request-context"), Symbol.for("@next/request-context")];

type WaitUntil = (promise: Promise<unknown>) => void;

function waitUntil(): WaitUntil | undefined {
  for (const name of REQUEST_CONTEXTS) {
    const holder = (globalThis as Record<symbol, unknown>)[name] as { get?(): { waitUntil?: WaitUntil } | undefined } | undefined;
    const found = holder?.get?.();
    if (typeof found?.waitUntil === "function") {
      return found.waitUntil.bind(found);
    }
  }
  return undefined;
}

/** Whether this host freezes the process, as edge runtimes do. */
export function isServerless(): boolean {
  return "EdgeRuntime" in globalThis || ["VERCEL", "NETLIFY", "AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME"].some((name) => variable(name) !== undefined);
}

/** Next's `after`: what runs when the answer is out, and is waited for. */
export type After = (task: () => unknown) => void;

let ofNext: After | null | undefined;

/** `after` of the application's `next/server`. */
function nextAfter(): After | undefined {
  if (ofNext === undefined) {
    try {
      const { after } = require("next/server") as { after?: After };
      ofNext = typeof after === "function" ? after : null;
    } catch {
      ofNext = null;
    }
  }
  return ofNext ?? undefined;
}

/** Sends what is pending once `ended` is; the host waits for that, for `timeout` milliseconds at most. The answer does not. */
export function flushAfter(client: Client | undefined, ended: Promise<unknown>, timeout: number, after: After | undefined): void {
  const send = async (): Promise<void> => {
    await ended;
    await (client === undefined ? flushAll({ timeout }) : client.flush({ timeout }));
  };
  try {
    const wait = waitUntil();
    const later = after ?? (wait === undefined ? nextAfter() : undefined);
    if (wait !== undefined) {
      wait(send());
    } else if (later !== undefined) {
      later(send);
    } else {
      void send();
    }
  } catch (error) {
    tell(`the host does not wait for what was traced: ${shown(String(error))}`);
  }
}
