/** What the API needs of a host that is not Node: stands in for `../host.ts`. */
import { read } from "./environment.js";
import { lives } from "./life.js";
import { randomBytes } from "./random.js";

export { AsyncLocalStorage } from "./storage.js";

/** Older compatibility dates of Workers have none: then nobody is told. */
const Registry = /* @__PURE__ */ ((): typeof FinalizationRegistry =>
  globalThis.FinalizationRegistry ??
  class {
    register(): void {}
    unregister(): boolean {
      return false;
    }
  })();

export { Registry as FinalizationRegistry };

/** There is nothing to load at run time: what a bundle needs is in it. */
export function require(name: string): unknown {
  throw new Error(`${name} is not loaded on this host`);
}

/** There are no threads that share a core. */
export function isMainThread(): boolean {
  return true;
}

interface WithModules {
  process?: { getBuiltinModule?(name: string): unknown };
}

/** A module of Node's where the host has it; Next's edge runtime throws for whoever asks. */
function ofNode<T>(name: string): T | undefined {
  try {
    return (globalThis as WithModules).process?.getBuiltinModule?.(name) as T | undefined;
  } catch {
    return undefined;
  }
}

/** Node's streams, on hosts that have them; elsewhere nothing ever says this. */
export const ERROR_MONITOR: string | symbol =
  /* @__PURE__ */ ofNode<{ errorMonitor?: symbol }>("node:events")?.errorMonitor ?? Symbol("errorMonitor");

const HEX = /* @__PURE__ */ Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Random bytes as lower-case hexadecimal digits. */
export function randomDigits(): string {
  let digits = "";
  for (const byte of randomBytes(1024)) {
    digits += HEX[byte];
  }
  return digits;
}

/** An environment variable without white space around it; `undefined` where it is empty. */
export function variable(name: string): string | undefined {
  return read(name)?.trim() || undefined;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const strict = new TextDecoder("utf-8", { fatal: true });

/** How many bytes a text takes as UTF-8. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/** The beginning of a text: so many bytes of UTF-8 at most, whole characters. */
export function head(text: string, size: number): string {
  const kept = encoder.encode(text.slice(0, size));
  if (kept.length <= size) {
    return text.slice(0, size);
  }
  let end = size;
  while (end > 0 && ((kept[end] as number) & 0xc0) === 0x80) {
    end -= 1;
  }
  return decoder.decode(kept.subarray(0, end));
}

/** Bytes as text; `undefined` where they are none. */
export function asText(content: Uint8Array): string | undefined {
  try {
    return strict.decode(content);
  } catch {
    return undefined;
  }
}

/** Lets the process end although the timer is pending. */
export function unref(timer: unknown): void {
  const deno = (globalThis as { Deno?: { unrefTimer?(timer: unknown): void } }).Deno;
  if (typeof timer === "number") {
    deno?.unrefTimer?.(timer);
  } else {
    (timer as { unref?: () => void } | undefined)?.unref?.();
  }
}

/** A timer that does not keep the process alive; none on hosts where timers end with the request that made them. */
export function later(callback: () => void, milliseconds: number): unknown {
  if (!lives()) {
    return undefined;
  }
  const timer = setTimeout(callback, milliseconds);
  unref(timer);
  return timer;
}

/** Bytes as base64. */
export function base64(content: Uint8Array): string {
  let text = "";
  for (let at = 0; at < content.length; at += 8192) {
    text += String.fromCharCode(...content.subarray(at, at + 8192));
  }
  return btoa(text);
}

/** The bytes of base64 text; none of what is not base64. */
export function fromBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (digit) => digit.charCodeAt(0));
  } catch {
    return new Uint8Array(0);
  }
}

export { sha256 } from "./sha256.js";
