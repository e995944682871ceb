/** Pages are read by everybody: a secret key has no place there. */
import type { CoreOptions } from "../backend.js";
import { home } from "../home.js";

interface Host {
  document?: unknown;
  importScripts?: unknown;
  process?: { versions?: { node?: string } };
  Deno?: unknown;
}

/** A page or one of its workers; not what imitates one in Node. */
export function isBrowser(): boolean {
  const host = globalThis as Host;
  const server = host.process?.versions?.node !== undefined || host.Deno !== undefined;
  return !server && (host.document !== undefined || typeof host.importScripts === "function");
}

let told = false;

/** Options without a secret key: a client that records nothing, and one line, never an exception. */
export function withoutSecret(options: CoreOptions, env: Record<string, string>): CoreOptions {
  if (options.secret_key === undefined && env["LANGFUSE_SECRET_KEY"] === undefined) {
    return options;
  }
  if (!told) {
    told = true;
    const logger = home.logger === undefined ? console : home.logger;
    logger?.error("tracespool: a secret key must not be in a browser, where everybody can read it: nothing is recorded. Trace on the server");
  }
  return { tracing_enabled: false };
}
