/** Browsers, and whatever else reads no `.wasm`: the module is a part of the script. */
import text from "../core.base64.js";
import { fromBase64 } from "../host.js";
import { start } from "../start.js";

start(() => fromBase64(text) as Uint8Array<ArrayBuffer>, { timers: true });

export * from "../index.js";
