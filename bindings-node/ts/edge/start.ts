/** What the entries begin with. */
import { type InitOutput, initSync } from "./glue.js";
import { take } from "./environment.js";
import { type WaitUntil, settle } from "./life.js";
import { bring } from "./native.js";
import type { Core } from "./wasm.js";

export { vercel } from "./life.js";

export interface Start {
  /** Timers outlive the request that made them: Deno, Bun, Node, browsers. */
  timers?: boolean;
  /** Where the current request's `waitUntil` is found. */
  waitUntil?: () => WaitUntil | undefined;
  /** Variables that are no `process.env`. */
  env?: unknown;
}

/**
 * Says where the module is. It is instantiated by the first thing that is traced.
 *
 * @param module A `WebAssembly.Module`, or its bytes where the host compiles them.
 */
export function start(module: () => WebAssembly.Module | BufferSource, host: Start = {}): void {
  take(host.env);
  settle(host.timers === true, host.waitUntil);
  bring(() => {
    const made: InitOutput = initSync({ module: module() });
    return made as unknown as Core;
  });
}
