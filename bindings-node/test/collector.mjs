// A real collector for a test file, and programs that trace to it.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
for (const name of Object.keys(process.env)) {
  if (/^(LANGFUSE_|TRACESPOOL_|OTEL_)/.test(name) && name !== "TRACESPOOL_COLLECTOR") {
    delete process.env[name];
  }
}

function binary() {
  const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
  const candidates = [process.env.TRACESPOOL_COLLECTOR, ...["release", "debug"].map((kind) => join(target, kind, "tracespool-collector"))];
  const found = candidates.find((path) => path && existsSync(path));
  if (!found) {
    throw new Error("no collector: `cargo build --release -p tracespool-collector`, or name one in TRACESPOOL_COLLECTOR");
  }
  return found;
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A running collector and what it has stored. */
class Collector {
  constructor(url, process) {
    this.url = url;
    this.process = process;
  }

  async get(path, query = {}) {
    const answer = await fetch(`${this.url}${path}?${new URLSearchParams(query)}`);
    if (!answer.ok) {
      throw new Error(`${path}: ${answer.status}`);
    }
    return answer.json();
  }

  async faults(...faults) {
    await fetch(`${this.url}/api/v1/faults`, { method: "PUT", body: JSON.stringify(faults) });
  }

  counts(key) {
    return this.get("/api/v1/counts", { project: key });
  }

  async list(key) {
    return (await this.get("/api/v1/observations", { project: key, limit: 1000 })).data;
  }

  /** By name. */
  async observations(key) {
    return Object.fromEntries((await this.list(key)).map((row) => [row.name, row]));
  }

  async scores(key) {
    return (await this.get("/api/v1/scores", { project: key, limit: 1000 })).data;
  }

  /** Waits for so many observations, 10 s at most. */
  async waitFor(key, count) {
    for (let tries = 0; tries < 200; tries += 1) {
      if ((await this.counts(key)).observations >= count) {
        break;
      }
      await pause(50);
    }
    return (await this.counts(key)).observations;
  }
}

/** Starts a collector that takes every key; it ends with the test file. */
export async function collector(...options) {
  const data = mkdtempSync(join(tmpdir(), "tracespool-"));
  const process = spawn(binary(), ["--data", data, "--listen", "127.0.0.1:0", "--any-key", ...options], { stdio: ["ignore", "pipe", "pipe"] });
  const url = await new Promise((resolve, reject) => {
    const look = (line) => line.includes("listening on") && resolve(line.trim().split(/\s+/).at(-1));
    createInterface(process.stdout).on("line", look);
    createInterface(process.stderr).on("line", look);
    process.once("exit", (code) => reject(new Error(`the collector ended with ${code}`)));
  });
  // The test file's end is the collector's: nothing of it keeps the file running.
  for (const handle of [process, process.stdout, process.stderr]) {
    handle.unref();
  }
  globalThis.process.once("exit", () => {
    process.kill();
    rmSync(data, { recursive: true, force: true });
  });
  return new Collector(url, process);
}

let last = 0;

/** A public key that no other test has. */
export function freshKey() {
  last += 1;
  return `pk-${process.pid}-${Date.now()}-${last}`;
}

/** Runs source text as a program of its own; resolves when it has ended. */
export async function run(source, { url, key, env = {}, args = [], timeout = 30_000, type = "mjs" } = {}) {
  const folder = mkdtempSync(join(dirname(fileURLToPath(import.meta.url)), ".program-"));
  const path = join(folder, `program.${type}`);
  writeFileSync(path, source);
  const began = performance.now();
  try {
    const child = spawn(process.execPath, [...args, path], {
      env: {
        ...process.env,
        ...(url ? { LANGFUSE_BASE_URL: url, LANGFUSE_PUBLIC_KEY: key, LANGFUSE_SECRET_KEY: "sk-very-secret" } : {}),
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [out, err] = ["", ""];
    child.stdout.on("data", (chunk) => (out += chunk));
    child.stderr.on("data", (chunk) => (err += chunk));
    const killer = setTimeout(() => child.kill("SIGKILL"), timeout);
    const [code, signal] = await new Promise((resolve) => child.once("close", (...ended) => resolve(ended)));
    clearTimeout(killer);
    return { code, signal, out, err, seconds: (performance.now() - began) / 1000 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
