/** Node, Deno and Bun without the native module. */
import { readFileSync } from "node:fs";
import { start } from "../start.js";

start(() => readFileSync(new URL("../core.wasm", import.meta.url)), { timers: true });

export * from "../index.js";
