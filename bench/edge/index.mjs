// Cost of an observation in workerd, beside the langfuse packages: `make bench-edge`. Clocks stand still inside a Worker, so requests that
// trace are measured from outside against requests that do not, in turns.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { collector, freshKey, pause } from "../../bindings-node/test/collector.mjs";
import { table, write } from "./page.mjs";

const home = dirname(fileURLToPath(import.meta.url));
const [count, rounds] = [Number(process.env.COUNT ?? 10_000), Number(process.env.ROUNDS ?? 7)];
const { version: LANGFUSE } = JSON.parse(readFileSync(join(home, "node_modules", "@langfuse", "tracing", "package.json"), "utf8"));
/** Isolates whose first request is measured. */
const FRESH = 7;
const NAMES = ["none", "tracespool", "langfuse"];

async function start(name, env) {
  const made = await build({
    entryPoints: [join(home, "workers", `${name}.js`)],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    loader: { ".wasm": "copy" },
    assetNames: "[name]",
    outdir: "out",
    define: { "process.env.NODE_ENV": '"production"' },
    write: false,
    logLevel: "silent",
  });
  const modules = made.outputFiles
    .toSorted((a, b) => a.path.endsWith(".wasm") - b.path.endsWith(".wasm"))
    .map(({ path, contents }) =>
      path.endsWith(".wasm") ? { type: "CompiledWasm", path: "core.wasm", contents } : { type: "ESModule", path: "worker.js", contents },
    );
  const size = modules.reduce((sum, { contents }) => sum + gzipSync(contents, { level: 9 }).length, 0);
  const miniflare = new Miniflare({ compatibilityDate: "2026-01-01", compatibilityFlags: ["nodejs_compat"], modules, bindings: env });
  const began = await miniflare.ready;
  const get = async (n) => {
    const from = performance.now();
    await (await fetch(new URL(`/?n=${n}`, began))).text();
    return performance.now() - from;
  };
  return { name, size, get, stop: () => miniflare.dispose() };
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const server = await collector();
const rows = {};
const running = [];

/** What a fresh isolate's first request takes longer than its next ones: evaluating the script is the host's, before. */
async function first({ get }) {
  const began = await get(1);
  return began - median([await get(1), await get(1), await get(1)]);
}

for (const name of NAMES) {
  rows[name] = { key: freshKey(), first: [], times: [] };
}
for (let fresh = 0; fresh < FRESH; fresh += 1) {
  for (const name of NAMES) {
    const { key } = rows[name];
    const worker = await start(name, { LANGFUSE_PUBLIC_KEY: key, LANGFUSE_SECRET_KEY: "sk-very-secret", LANGFUSE_BASE_URL: server.url });
    rows[name].size = worker.size;
    rows[name].first.push(await first(worker));
    if (fresh < FRESH - 1) {
      await pause(200);
      await worker.stop();
    } else {
      running.push(worker);
    }
  }
}
/** What is stored of a key once nothing more has come for a second. */
async function settled(key) {
  let [stored, since] = [-1, performance.now()];
  while (performance.now() - since < 1000) {
    const { observations } = await server.counts(key);
    if (observations !== stored) {
      [stored, since] = [observations, performance.now()];
    }
    await pause(50);
  }
  return stored;
}

for (let round = 0; round < rounds; round += 1) {
  for (const { name, get } of running) {
    rows[name].times.push(await get(count));
    // What is still on its way shall not be on the next one's time.
    rows[name].stored = await settled(rows[name].key);
  }
}
const traced = NAMES.slice(1);
const all = rounds * count + 4 * FRESH;
const base = median(rows.none.times);
const each = traced.map((name) => ((median(rows[name].times) - base) * 1000) / count);
const begun = traced.map((name) => median(rows[name].first) - median(rows.none.first));
const stored = traced.map((name) => rows[name].stored);
const judged = (kept) => (kept ? "kept" : "MISSED");
const times = each[1] / each[0];
write("edge", table([
  [`in workerd, ${count.toLocaleString("en")} observations in a request`, "tracespool", `langfuse ${LANGFUSE}`, "promised"],
  ["an observation, from outside", ...each.map((us) => `${us.toFixed(2)} us`), `a third: ${times.toFixed(1)} x less, ${judged(times >= 3)}`],
  ["an isolate's first request over its next ones", ...begun.map((ms) => `${ms.toFixed(1)} ms`), `5 ms: ${judged(begun[0] <= 5)}`],
  ["script and module, compressed", ...traced.map((name) => `${(rows[name].size / 1024).toFixed(1)} KiB`), ""],
  [`stored of ${all.toLocaleString("en")}`, ...stored.map((n) => n.toLocaleString("en")), `all: ${judged(stored[0] === all)}`],
]), `Medians of ${rounds} requests in turns, those of a Worker that traces nothing subtracted, and of ${FRESH} fresh isolates: clocks stand still inside a Worker.`);
await Promise.all(running.map((worker) => worker.stop()));
process.exit(0);
