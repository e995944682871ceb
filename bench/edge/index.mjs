// Cost of an observation in workerd, beside the langfuse packages: `make bench-edge`. Clocks stand still inside a Worker, so requests that
// trace are measured from outside against requests that do not, in turns.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { collector, freshKey, pause } from "../../bindings-node/test/collector.mjs";

const home = dirname(fileURLToPath(import.meta.url));
const [count, rounds] = [Number(process.env.COUNT ?? 2000), Number(process.env.ROUNDS ?? 15)];
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
for (let round = 0; round < rounds; round += 1) {
  for (const { name, get } of running) {
    rows[name].times.push(await get(count));
    await pause(200);
  }
}
for (const name of NAMES.slice(1)) {
  await server.waitFor(rows[name].key, rounds * count + 4 * FRESH);
}
const base = median(rows.none.times);
console.log(`${count} observations in a request, ${rounds} rounds in turns; microseconds per observation (median), compressed bytes of the Worker`);
for (const name of NAMES.slice(1)) {
  const { size, first, times, key } = rows[name];
  const each = ((median(times) - base) * 1000) / count;
  const { observations } = await server.counts(key);
  console.log(
    `${name.padEnd(11)} ${each.toFixed(2).padStart(8)} us   ${String(size).padStart(7)} B   first request +${(median(first) - median(rows.none.first)).toFixed(1)} ms   stored ${observations} of ${rounds * count + 4 * FRESH}`,
  );
}
await Promise.all(running.map((worker) => worker.stop()));
process.exit(0);
