/** Vercel's and Next's edge runtimes: tracing alone. */
import module from "../core.wasm?module";
import { start, vercel } from "../start.js";

start(() => module, { eager: true, waitUntil: vercel });

export * from "../index.js";
