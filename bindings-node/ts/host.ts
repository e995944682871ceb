/**
 * What the API needs of the JavaScript host: Node's, Deno's and Bun's. Other hosts put another file in its place.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { Buffer } from "node:buffer";
import { errorMonitor } from "node:events";
import { createRequire } from "node:module";

export { AsyncLocalStorage };

/** Not every host has it. */
export const { FinalizationRegistry } = globalThis;

/** The name under which streams tell of errors to those who only watch. */
export const ERROR_MONITOR: string | symbol = errorMonitor;

/** Loads a module when it is needed first: each costs milliseconds that an import of this package should not. */
// A bundle of CommonJS has no `import.meta.url`, a module has no `__filename`.
export const require = createRequire(typeof __filename === "string" ? __filename : import.meta.url);

/** Whether this is the main thread's environment, not a worker's. */
export function isMainThread(): boolean {
  return (require("node:worker_threads") as typeof import("node:worker_threads")).isMainThread;
}

function crypto(): typeof import("node:crypto") {
  return require("node:crypto") as typeof import("node:crypto");
}

let bytes: Buffer | undefined;

/** Random bytes as lower-case hexadecimal digits, 32,768 of them: asking for them costs more than they do. */
export function randomDigits(): string {
  bytes ??= Buffer.allocUnsafeSlow(16_384);
  crypto().randomFillSync(bytes);
  return bytes.toString("hex");
}

/** Base64 of the SHA-256 of a content. */
export function sha256(content: Uint8Array): string {
  return crypto().createHash("sha256").update(content).digest("base64");
}

/** An environment variable without white space around it; `undefined` where it is empty. */
export function variable(name: string): string | undefined {
  const value = process.env[name];
  return value === undefined || value === "" ? undefined : value.trim() || undefined;
}

/** How many bytes a text takes as UTF-8. */
export function byteLength(text: string): number {
  return Buffer.byteLength(text, "utf8");
}

/** The beginning of a text: so many bytes of UTF-8 at most, whole characters. */
export function head(text: string, size: number): string {
  const kept = Buffer.from(text.slice(0, size), "utf8");
  if (kept.length <= size) {
    return text.slice(0, size);
  }
  let end = size;
  while (end > 0 && ((kept[end] as number) & 0xc0) === 0x80) {
    end -= 1;
  }
  return kept.toString("utf8", 0, end);
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Bytes as text; `undefined` where they are none. */
export function asText(content: Uint8Array): string | undefined {
  try {
    return decoder.decode(content);
  } catch {
    return undefined;
  }
}

/** A timer that does not keep the process alive. */
export function later(callback: () => void, milliseconds: number): unknown {
  const timer = setTimeout(callback, milliseconds);
  unref(timer);
  return timer;
}

/** Lets the process end although the timer is pending. */
export function unref(timer: unknown): void {
  (timer as { unref?: () => void }).unref?.();
}

/** Bytes as base64. */
export function base64(content: Uint8Array): string {
  return Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString("base64");
}

/** The bytes of base64 text. */
export function fromBase64(text: string): Uint8Array {
  return Buffer.from(text, "base64");
}
