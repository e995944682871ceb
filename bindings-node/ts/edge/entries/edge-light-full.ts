/** Vercel's and Next's edge runtimes, with everything. */
import module from "../full.wasm?module";
import { start, vercel } from "../start.js";

start(() => module, { eager: true, whole: true, waitUntil: vercel });

export * from "../index.js";
