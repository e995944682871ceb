/** Node, Deno and Bun without the native module. */
import { readFileSync } from "node:fs";
import { isBrowser, ofPage } from "../browser.js";
import { start } from "../start.js";

start(() => readFileSync(new URL("../full.wasm", import.meta.url)), { timers: true, whole: true }, isBrowser() ? ofPage : undefined);

export * from "../index.js";
