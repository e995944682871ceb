/** Browsers, and whatever else reads no `.wasm`: the module is a part of the script. */
import text from "../core.base64.js";
import { fromBase64 } from "../host.js";
import { start } from "../start.js";

/** A Worker by a bundler that has no condition for Workers. They compile while the script is evaluated, and never again. */
const worker = (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent === "Cloudflare-Workers";

start(() => fromBase64(text) as Uint8Array<ArrayBuffer>, worker ? { eager: true } : { timers: true });

export * from "../index.js";
