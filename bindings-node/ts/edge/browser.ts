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

/**
 * Options of a page. A public key alone may score (feedback of those who read it), with itself as the bearer; a secret key gives a client that
 * records nothing, and one line, never an exception.
 */
export function ofPage(options: CoreOptions, env: Record<string, string>): CoreOptions {
  if (options.secret_key !== undefined || env["LANGFUSE_SECRET_KEY"] !== undefined) {
    if (!told) {
      told = true;
      const logger = home.logger === undefined ? console : home.logger;
      logger?.error("tracespool: a secret key must not be in a browser, where everybody can read it: nothing is recorded. Trace on the server");
    }
    return { tracing_enabled: false };
  }
  const publicKey = options.public_key ?? env["LANGFUSE_PUBLIC_KEY"];
  if (publicKey === undefined) {
    return { ...options, env };
  }
  const headers = { ...options.additional_headers, authorization: `Bearer ${publicKey}` };
  // The header outvotes what the core would make of a secret.
  return { ...options, env, public_key: publicKey, secret_key: "none", additional_headers: headers };
}
