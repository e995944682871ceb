/** What the entries begin with. */
import { take } from "./environment.js";
import { type WaitUntil, settle } from "./life.js";
import { bring } from "./native.js";
import { type Core, Texts, type Wheel, over } from "./wasm.js";

export { vercel } from "./life.js";

/**
 * An instance. It is lent two functions, from digits to a number and back, and a table of JavaScript objects that it never uses, for only
 * numbers cross. wasm-bindgen's own glue tells modules from bytes by `instanceof`, which fails where a host compiles in another realm
 * (Vercel, Next).
 */
function instance(module: WebAssembly.Module): Core {
  const bytes = (at: number, length?: number): Uint8Array<ArrayBuffer> => new Uint8Array(core.memory.buffer as ArrayBuffer, at, length);
  const host = {
    number: (at: number, length: number) => Number(String.fromCharCode(...bytes(at >>> 0, length))),
    digits: (number: number, at: number) => new TextEncoder().encodeInto(String(number), bytes(at >>> 0, 32)).written,
  };
  const glue = { __wbindgen_init_externref_table: () => undefined };
  const core = new WebAssembly.Instance(module, { host, "./tracespool_wasm_bg.js": glue }).exports as unknown as Core;
  return core;
}

/** Ids and times of nobody. */
const RECORD = '0000000000000000000000000000000010000000000000001span\x1fwarm\x1fi"in\x1fo{{"a":\x1fb\x1f}\x1f\x1f';

/**
 * Engines compile a function when it is called first. Where a script is evaluated before there is a request to delay, one observation's
 * whole way is gone then, in an instance that is forgotten. Nothing is sent.
 */
function warm(core: Core): void {
  const texts = new Texts(core);
  const nothing = (): void => undefined;
  const environment = (): Record<string, string> => ({ LANGFUSE_RELEASE: "warm" });
  const backend = over({ texts, ring: nothing, rooted: nothing }, environment, (error) => {
    throw error;
  });
  const handle = backend.open('{"public_key":"pk","secret_key":"sk","base_url":"http://localhost"}');
  backend.settings(handle);
  backend.keeps(handle, RECORD.slice(1, 33));
  backend.hasRoom(handle);
  backend.end(handle, 1, 2, RECORD);
  const ticket = backend.flush(handle, 1000, false);
  core.rang();
  core.turn();
  const slot = core.nextAction();
  core.pieceLength(0);
  core.piece(0);
  core.forget();
  core.outcome(slot, 200, texts.first(""), texts.next(""), texts.next(""), texts.next(""));
  core.turn();
  core.isIdle();
  backend.poll(ticket);
  backend.notices(true);
}

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
  /** Whether the module is the whole one, and not the one for tracing alone. */
  whole?: boolean;
}

/**
 * Says where the module is. It is instantiated by the first thing that is traced.
 *
 * @param module A `WebAssembly.Module`, or its bytes where the host compiles them.
 */
export function start(module: () => WebAssembly.Module | BufferSource, host: Start = {}, page?: Wheel["page"]): void {
  take(host.env);
  settle(host.timers === true, host.waitUntil);
  let made: WebAssembly.Module | undefined;
  if (host.eager === true) {
    try {
      // Kept: where it comes as bytes, Workers compile them now or never.
      made = compiled(module());
      warm(instance(made));
      const core = instance(made);
      bring(() => core, host.whole === true, page);
      return;
    } catch {
      // Told when something is traced.
    }
  }
  bring(() => instance(made ?? compiled(module())), host.whole === true, page);
}
