/** Cloudflare Workers: tracing alone. */
import * as workers from "cloudflare:workers";
import module from "../core.wasm";
import { type Start, start } from "../start.js";

// Older runtimes have neither, and asking for what a module does not export would be an error at the start.
const host = workers as { env?: unknown; waitUntil?: ReturnType<NonNullable<Start["waitUntil"]>> };

start(() => module, { eager: true, env: host.env, waitUntil: () => host.waitUntil });

export * from "../index.js";
