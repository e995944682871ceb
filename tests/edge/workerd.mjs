// workerd by itself: the binary of the npm package `workerd` with a configuration as its documentation writes them.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { bundle } from "./host.mjs";

const require = createRequire(import.meta.url);
const text = JSON.stringify;
const list = (entries) => `[${entries.join(", ")}]`;

function configuration(modules, { bindings, flags, date, objects, v8 }) {
  const parts = [`(name = "worker.js", esModule = embed "worker.js")`, ...modules.map(([name]) => `(name = ${text(name)}, wasm = embed ${text(name)})`)];
  const bound = [
    ...Object.entries(bindings).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)})`),
    ...Object.entries(objects).map(([name, className]) => `(name = ${text(name)}, durableObjectNamespace = ${text(className)})`),
  ];
  const classes = Object.values(objects).map((name) => `(className = ${text(name)}, uniqueKey = ${text(name)})`);
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  v8Flags = ${list(v8.map(text))},
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = ${list(parts)},
  compatibilityDate = ${text(date)},
  compatibilityFlags = ${list(flags.map(text))},
  bindings = ${list(bound)},
  durableObjectNamespaces = ${list(classes)},
  durableObjectStorage = (inMemory = void),
  globalOutbound = "internet",
);
`;
}

/** Runs a bundled Worker; answers `get(path)`, `stop()`, the process's id and its ports. */
export async function workerd(entry, { bindings = {}, flags = ["nodejs_compat"], date = "2026-01-01", objects = {}, v8 = [], inspected = false } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "workerd-"));
  const { script, modules } = await bundle(entry);
  for (const [name, content] of [["worker.js", script], ...modules]) {
    writeFileSync(join(folder, name), content);
  }
  writeFileSync(join(folder, "config.capnp"), configuration(modules, { bindings, flags, date, objects, v8 }));
  // It says on the fourth descriptor where it listens.
  const inspector = inspected ? ["--inspector-addr=127.0.0.1:0"] : [];
  const child = spawn(require("workerd").default, ["serve", join(folder, "config.capnp"), "--control-fd=3", ...inspector], {
    stdio: ["ignore", "inherit", "pipe", "pipe"],
  });
  let trouble = "";
  child.stderr.on("data", (chunk) => (trouble += chunk));
  const gone = new Promise((resolve) => child.once("close", resolve));
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const stop = async () => {
    kill();
    await gone;
    process.off("exit", kill);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const ports = {};
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`workerd does not listen: ${trouble}`)), 20_000);
      child.once("exit", (code) => reject(new Error(`workerd ended with ${code}: ${trouble}`)));
      createInterface(child.stdio[3]).on("line", (line) => {
        const said = JSON.parse(line);
        ports[said.event === "listen-inspector" ? "inspector" : said.socket] = said.port;
        if (ports.http !== undefined && (!inspected || ports.inspector !== undefined)) {
          clearTimeout(late);
          resolve();
        }
      });
    });
    return { pid: child.pid, ports, get: (path) => fetch(`http://127.0.0.1:${ports.http}${path}`), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
