/** Browsers, and whatever else reads no `.wasm`: the module is a part of the script. */
import text from "../core.base64.js";
import { fromBase64 } from "../host.js";
import { isBrowser, ofPage } from "../browser.js";
import { start } from "../start.js";

start(() => fromBase64(text) as Uint8Array<ArrayBuffer>, { timers: true, whole: true }, isBrowser() ? ofPage : undefined);

export * from "../index.js";
