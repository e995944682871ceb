// A fresh project with nothing in it but an application; `tracespool` is installed above it, from the tarball.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { Miniflare } from "miniflare";

const home = dirname(fileURLToPath(import.meta.url));
const made = [];
process.once("exit", () => made.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

const running = [];
after(() => Promise.all(running.map((miniflare) => miniflare.dispose())));

/** Without what would tell a tool, or the library, what to do. */
const ENV = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(LANGFUSE_|TRACESPOOL_|OTEL_|NODE_ENV|NODE_TEST)/.test(name)));

export class Project {
  /** @param files texts by path. */
  constructor(files) {
    this.folder = mkdtempSync(join(home, ".project-"));
    made.push(this.folder);
    const manifest = JSON.stringify({ name: "app", private: true, type: "module" });
    for (const [path, text] of Object.entries({ "package.json": manifest, ...files })) {
      mkdirSync(dirname(join(this.folder, path)), { recursive: true });
      writeFileSync(join(this.folder, path), text);
    }
  }

  path(...names) {
    return join(this.folder, ...names);
  }

  /** Starts a program that was installed, or `node`. */
  start(command, args, env = {}) {
    const program = command === "node" ? process.execPath : join(home, "node_modules", ".bin", command);
    const settings = { ...ENV, CI: "1", NEXT_TELEMETRY_DISABLED: "1", WRANGLER_SEND_METRICS: "false", ...env };
    const child = spawn(program, args, { cwd: this.folder, env: settings, stdio: ["ignore", "pipe", "pipe"] });
    child.said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => (child.said += chunk));
    }
    return child;
  }

  /** Runs it to its end, which has to be a good one; what it said. */
  async run(command, args, { env = {}, timeout = 240_000 } = {}) {
    const child = this.start(command, args, env);
    const killer = setTimeout(() => child.kill("SIGKILL"), timeout);
    const code = await new Promise((resolve) => child.once("close", resolve));
    clearTimeout(killer);
    if (code !== 0) {
      throw new Error(`${command} ${args.join(" ")} ended with ${code}:\n${child.said}`);
    }
    return child.said;
  }
}

/** What a client needs to know. */
export const settings = (server, key) => ({ LANGFUSE_PUBLIC_KEY: key, LANGFUSE_SECRET_KEY: "sk-very-secret", LANGFUSE_BASE_URL: server.url });

/** Runs a folder of scripts and modules in workerd, as they were deployed, until the test file ends. */
export async function workerd(folder, main, { bindings, date = "2026-01-01", flags = ["nodejs_compat"] }) {
  const rest = readdirSync(folder, { recursive: true }).filter((name) => name !== main && /\.(js|mjs|wasm)$/.test(name));
  const modules = [main, ...rest].map((name) => ({
    type: name.endsWith(".wasm") ? "CompiledWasm" : "ESModule",
    path: name,
    contents: readFileSync(join(folder, name)),
  }));
  const miniflare = new Miniflare({ compatibilityDate: date, compatibilityFlags: flags, modules, bindings });
  running.push(miniflare);
  await miniflare.ready;
  return miniflare;
}
