/** Unusual hosts: bring the module yourself, before anything is traced. */
import { isBrowser, ofPage } from "../browser.js";
import { type Start, start } from "../start.js";

/**
 * @param module `tracespool/core.wasm`, which traces, or `tracespool/full.wasm`, which has everything; compiled or as bytes.
 * @param host What kind of host this is.
 */
export function setModule(module: WebAssembly.Module | BufferSource, host?: Start): void {
  start(() => module, { whole: true, ...host }, isBrowser() ? ofPage : undefined);
}

export type { Start };
export * from "../index.js";
