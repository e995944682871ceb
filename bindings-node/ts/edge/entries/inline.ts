/** Browsers, and whatever else reads no `.wasm`: the module is a part of the script. */
import text from "../core.base64.js";
import { fromBase64 } from "../host.js";
import { isBrowser, ofPage } from "../browser.js";
import { start } from "../start.js";

/** A Worker by a bundler that has no condition for Workers. They compile while the script is evaluated, and never again. */
const worker = (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent === "Cloudflare-Workers";
const host = worker ? { eager: true, whole: true } : { timers: true, whole: true };

start(() => fromBase64(text) as Uint8Array<ArrayBuffer>, host, isBrowser() ? ofPage : undefined);

export * from "../index.js";
