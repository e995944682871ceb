/** Unusual hosts: bring the module yourself, before anything is traced. */
import { type Start, start } from "../start.js";

/**
 * @param module `tracespool/core.wasm`, compiled or as bytes.
 * @param host What kind of host this is.
 */
export function setModule(module: WebAssembly.Module | BufferSource, host?: Start): void {
  start(() => module, host);
}

export type { Start };
export * from "../index.js";
