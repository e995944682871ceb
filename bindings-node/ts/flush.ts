/** Sending what is pending now, and closing. */
import { type Handle, backend, forget } from "./handle.js";
import { home } from "./home.js";
import { deliver, shown, tell } from "./log.js";
import { settleMasks, waitingFor } from "./mask.js";
import { arrival } from "./tickets.js";

/** What became of the data by the deadline. The numbers add up to what was pending when it was asked for. */
export interface Report {
  /** Everything was delivered. */
  complete: boolean;
  delivered: number;
  dropped: number;
  /** Still waiting; it is sent later. */
  pending: number;
  /** Sent, but no answer came by the deadline. */
  unconfirmed: number;
  destinations: Record<string, unknown>[];
}

/** In milliseconds. */
export const FLUSH_TIMEOUT = 5000;
export const SHUTDOWN_TIMEOUT = 3000;

const NOTHING: Report = { complete: true, delivered: 0, dropped: 0, pending: 0, unconfirmed: 0, destinations: [] };

function milliseconds(timeout: unknown, otherwise: number): number {
  if (timeout === undefined || timeout === null) {
    return otherwise;
  }
  if (typeof timeout === "number" && timeout >= 0) {
    return Math.min(timeout, 2 ** 31 - 2001);
  }
  tell(`timeout ${shown(timeout)} is no number of milliseconds; ${otherwise} is used`);
  return otherwise;
}

async function asked(client: Handle | null, timeout: unknown, otherwise: number, ask: (rest: number) => number): Promise<Report> {
  try {
    const limit = milliseconds(timeout, otherwise);
    const began = performance.now();
    if (home.held.size > 0) {
      // What is masked already is on its way meanwhile.
      void arrival(backend(), backend().flush(client?.id ?? 0, limit, false), limit);
      await settleMasks(client, limit);
    }
    const rest = Math.max(0, limit - (performance.now() - began));
    const { handed } = home;
    const answer = await arrival(backend(), ask(rest), rest);
    deliver();
    const report = answer === null ? { ...NOTHING, complete: false } : (JSON.parse(answer) as Report);
    const held = home.held.size === 0 ? 0 : waitingFor(client).length;
    if (held > 0) {
      report.complete = false;
      report.pending += held;
    }
    if (!report.complete && (client === null || home.handles.size <= 1)) {
      // Whoever bounded the wait has had the answer: the end of the process does not wait again for the same.
      home.waited = handed;
    }
    return report;
  } catch (error) {
    tell(`a flush failed: ${shown(String(error))}`);
    return { ...NOTHING, complete: false };
  }
}

/** See `Client.flush`; `null` for every client. */
export function flush(client: Handle | null, timeout?: number): Promise<Report> {
  return asked(client, timeout, FLUSH_TIMEOUT, (rest) => backend().flush(client?.id ?? 0, rest, false));
}

/** See `Client.shutdown`. */
export function shutdown(client: Handle | null, timeout?: number): Promise<Report> {
  return asked(client, timeout, SHUTDOWN_TIMEOUT, (rest) => backend().flush(client?.id ?? 0, rest, true));
}

/**
 * Closes every client of a public key, old and rotated secrets alike, and forgets its prompts. Data that is not delivered in time is
 * dropped as `evicted`. A key that is used again works again.
 */
export function cleanupClient(
  publicKey: string,
  options: { baseUrl?: string; secretKey?: string; timeout?: number } = {},
): Promise<Report> {
  const { baseUrl, secretKey, timeout } = options ?? {};
  return asked(null, timeout, SHUTDOWN_TIMEOUT, (rest) => {
    forget((handle) => handle.publicKey === publicKey && (baseUrl === undefined || handle.settings.base_url === baseUrl));
    return backend().cleanup(JSON.stringify({ public_key: publicKey, base_url: baseUrl, secret_key: secretKey }), rest);
  });
}

/** The same for all clients. */
export function cleanupAllClients(options: { timeout?: number } = {}): Promise<Report> {
  return asked(null, options?.timeout, SHUTDOWN_TIMEOUT, (rest) => {
    forget(() => true);
    return backend().cleanup("{}", rest);
  });
}

/** Sends what all clients have pending. */
export function flushAll(options: { timeout?: number } = {}): Promise<Report> {
  return flush(null, options?.timeout);
}

/** Counters of this process since it began, by the same names in every language. */
export function stats(): Record<string, unknown> {
  const found = JSON.parse(backend().stats()) as Record<string, unknown>;
  deliver();
  return found;
}
