/**
 * Puts this host's platform package where the loader finds it in the sources' own `node_modules`: one way to load, whether
 * developed or installed.
 *
 *     node pack/develop.mjs TARGET
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT, built, host, write } from "./platform.mjs";

const [target] = process.argv.slice(2);
const platform = host();
const folder = join(ROOT, "node_modules", "@tracespool", platform);
// A process may have the old one mapped: it keeps its file, ours is a new one.
rmSync(folder, { recursive: true, force: true });
write(folder, platform, built(target));
