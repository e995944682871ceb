/** The packages that hold a binary, one for each platform: their names, manifests and files. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));
export const PLATFORMS = JSON.parse(readFileSync(join(ROOT, "platforms.json"), "utf8"));
export const BINARY = "tracespool.node";

/** What the main package is, without what only its development needs. */
export const MANIFEST = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));

/** This host, by its name in `platforms.json`. */
export function host() {
  const libc = process.platform === "linux" ? (process.report.getReport().header.glibcVersionRuntime ? "glibc" : "musl") : undefined;
  const found = Object.entries(PLATFORMS).find(
    ([, platform]) => platform.os === process.platform && platform.cpu === process.arch && platform.libc === libc,
  );
  if (!found) throw new Error(`no package is made for ${process.platform} ${process.arch} ${libc ?? ""}`);
  return found[0];
}

/** Where cargo leaves the library, and what it is called there. */
export function built(target) {
  const name = { darwin: "libtracespool_node.dylib", win32: "tracespool_node.dll" }[process.platform] ?? "libtracespool_node.so";
  return join(target, "release", name);
}

/** Writes the package of one platform into `folder`. */
export function write(folder, platform, binary) {
  const { os, cpu, libc } = PLATFORMS[platform];
  mkdirSync(folder, { recursive: true });
  copyFileSync(binary, join(folder, BINARY));
  const { version, license, repository, engines } = MANIFEST;
  const manifest = {
    name: `@tracespool/${platform}`,
    version,
    description: `The binary of tracespool for ${platform}`,
    license,
    repository,
    engines,
    main: BINARY,
    files: [BINARY],
    os: [os],
    cpu: [cpu],
    ...(libc ? { libc: [libc] } : {}),
  };
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}
