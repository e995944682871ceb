/** What the entries begin with. */
import { take } from "./environment.js";
import { type WaitUntil, settle } from "./life.js";
import { bring } from "./native.js";
import type { Core } from "./wasm.js";

export { vercel } from "./life.js";

/**
 * What the module imports: a table of JavaScript objects that it never uses, for only numbers cross. wasm-bindgen's own glue tells modules
 * from bytes by `instanceof`, which fails where a host compiles in another realm (Vercel, Next).
 */
const IMPORTS = { "./tracespool_wasm_bg.js": { __wbindgen_init_externref_table: () => undefined } };

function compiled(module: WebAssembly.Module | BufferSource): WebAssembly.Module {
  const bytes = ArrayBuffer.isView(module) || Object.prototype.toString.call(module) === "[object ArrayBuffer]";
  return bytes ? new WebAssembly.Module(module as BufferSource) : (module as WebAssembly.Module);
}

export interface Start {
  /** Timers outlive the request that made them: Deno, Bun, Node, browsers. */
  timers?: boolean;
  /** Instantiate now: where evaluating the script is not on a request's time. */
  eager?: boolean;
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
  const instantiate = (): Core => new WebAssembly.Instance(compiled(module()), IMPORTS).exports as unknown as Core;
  if (host.eager === true) {
    try {
      const core = instantiate();
      // Functions are compiled when they are called first: 15 ms that the first request need not wait for.
      core.warm();
      bring(() => core);
      return;
    } catch {
      // Told when something is traced.
    }
  }
  bring(instantiate);
}
