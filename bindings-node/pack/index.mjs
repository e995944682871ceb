/**
 * Writes the tarballs: the main package, and the package with this host's binary.
 *
 *     node pack/index.mjs OUT
 *
 * The binary is the one that `make build-node` or `make npm-pack` put into `node_modules`.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { BINARY, MANIFEST, PLATFORMS, ROOT, host, write } from "./platform.mjs";

const [out] = process.argv.slice(2);
if (!out) throw new Error("where to: node pack/index.mjs OUT");

const LICENSES = ["LICENSE-APACHE", "LICENSE-MIT"];
const REPOSITORY = "https://github.com/tracespool/tracespool";
/** What only the sources need. */
const LEFT_OUT = ["private", "scripts", "devDependencies"];

function main(folder) {
  mkdirSync(folder);
  cpSync(join(ROOT, "dist"), join(folder, "dist"), { recursive: true });
  for (const name of LICENSES) copyFileSync(join(ROOT, "..", name), join(folder, name));
  // Its neighbours are not in the package.
  const page = readFileSync(join(ROOT, "..", "docs", "node.md"), "utf8");
  writeFileSync(join(folder, "README.md"), page.replaceAll(/\]\((?=[\w-]+\.md)/g, `](${REPOSITORY}/blob/main/docs/`));
  const manifest = Object.fromEntries(Object.entries(MANIFEST).filter(([name]) => !LEFT_OUT.includes(name)));
  // Exactly this version: the binary and what calls it are one thing.
  manifest.optionalDependencies = Object.fromEntries(
    Object.keys(PLATFORMS).map((platform) => [`@tracespool/${platform}`, MANIFEST.version]),
  );
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

const stage = mkdtempSync(join(tmpdir(), "tracespool-pack-"));
try {
  mkdirSync(out, { recursive: true });
  const platform = host();
  main(join(stage, "main"));
  write(join(stage, platform), platform, join(ROOT, "node_modules", "@tracespool", platform, BINARY));
  for (const name of ["main", platform]) {
    const packed = execFileSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", resolve(out)], {
      cwd: join(stage, name),
      encoding: "utf8",
      shell: process.platform === "win32",
    });
    console.log(join(out, packed.trim()));
  }
} finally {
  rmSync(stage, { recursive: true, force: true });
}
