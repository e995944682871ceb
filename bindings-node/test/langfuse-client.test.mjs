// `tracespool/client` over an installed @langfuse/client, against the collector.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { before, test } from "node:test";

import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import * as t from "tracespool";
import { DatasetManager, ExperimentManager, LangfuseClient, LangfuseMedia, RegressionError, RunnerContext, createEvaluatorFromAutoevals } from "tracespool/client";
import * as theirs from "@langfuse/client";
import { collector, freshKey, run } from "./collector.mjs";
import { lines } from "./fresh.mjs";

let server;
before(async () => {
  server = await collector();
});

/** The collector, with the one address of datasets' runs that it does not have. */
async function withRuns() {
  const linked = [];
  const front = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) {
      parts.push(part);
    }
    const body = Buffer.concat(parts);
    if (request.url === "/api/public/dataset-run-items") {
      const said = JSON.parse(body);
      linked.push(said);
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ id: `i${linked.length}`, datasetRunId: "run-1", datasetRunName: said.runName, ...said, createdAt: new Date(), updatedAt: new Date() }));
      return;
    }
    const { host, connection, "content-length": length, "transfer-encoding": encoding, ...headers } = request.headers;
    const answer = await fetch(server.url + request.url, { method: request.method, headers, body: body.length > 0 ? body : undefined });
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "application/json" });
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise((resolve) => front.listen(0, "127.0.0.1", resolve));
  front.unref();
  return { linked, url: `http://127.0.0.1:${front.address().port}` };
}

function fresh(url = server.url, options = {}) {
  const key = freshKey();
  return { key, client: new LangfuseClient({ publicKey: key, secretKey: "sk-very-secret", baseUrl: url, ...options }) };
}

test("an experiment on local data: observations and scores are ours", async () => {
  const { key, client } = fresh();
  const before = globalThis[Symbol.for("langfuse")]?.isolatedTracerProvider ?? null;
  const told = await lines(async () => {
    const result = await client.experiment.run({
      name: "capitals",
      runName: "run 1",
      description: "first",
      metadata: { v: 1 },
      data: [
        { input: "Italy", expectedOutput: "Rome", metadata: { n: 1 } },
        { input: { country: "Peru" }, expectedOutput: "Lima" },
        { expectedOutput: "no input" },
      ],
      task: async ({ input }) => {
        const found = input === "Italy" ? "Rome" : "Cusco";
        t.startObservation("model", { input, output: found, model: "m" }, { asType: "generation" }).end();
        return found;
      },
      evaluators: [
        async ({ output, expectedOutput }) => ({ name: "exact", value: Number(output === expectedOutput), comment: "c" }),
        async () => {
          throw new Error("broken");
        },
      ],
      runEvaluators: [async ({ itemResults }) => ({ name: "share", value: itemResults.filter((each) => each.evaluations[0].value === 1).length / 2 })],
      maxConcurrency: 2,
    });
    assert.equal(result.itemResults.length, 2);
    assert.equal(result.runName, "run 1");
    assert.equal(result.runEvaluations[0].value, 0.5);
    assert.match(await result.format({ includeItemResults: true }), /exact: 0\.500/);
  });
  assert.equal(told.filter((line) => line.includes("OpenTelemetry")).length, 0);
  assert.equal(told.filter((line) => line.includes("evaluator")).length, 1, told.join("\n"));
  assert.equal(globalThis[Symbol.for("langfuse")]?.isolatedTracerProvider ?? null, before, "nothing global");
  await client.flush();
  const rows = await server.list(key);
  assert.deepEqual(rows.map((row) => row.name).sort(), ["experiment-item-run", "experiment-item-run", "experiment-item-run", "model", "model"]);
  const roots = rows.filter((row) => row.name === "experiment-item-run" && row.output !== null);
  assert.equal(roots.length, 2);
  for (const row of rows.filter((each) => each.level !== "ERROR")) {
    assert.equal(row.environment, "sdk-experiment");
    const root = row.name === "model" ? rows.find((each) => each.span_id === row.parent) : row;
    assert.equal(row.attributes["langfuse.experiment.name"], "run 1");
    assert.equal(row.attributes["langfuse.experiment.metadata"], '{"v":1}');
    assert.equal(row.attributes["langfuse.experiment.item.root_observation_id"], root.span_id);
    assert.equal("langfuse.experiment.description" in row.attributes, row === root);
    assert.equal("langfuse.experiment.item.expected_output" in row.attributes, row === root);
  }
  const scores = await server.scores(key);
  assert.deepEqual(scores.map((score) => [score.name, score.value]).sort(), [["exact", 0], ["exact", 1]]);
  for (const score of scores) {
    assert.ok(roots.some((row) => row.trace_id === score.trace_id && row.span_id === score.observation_id), JSON.stringify(score));
  }
});

test("a dataset: items with media, a run, its links", async () => {
  const { url, linked } = await withRuns();
  const { key, client } = fresh(url);
  await client.createDataset({ name: "world/capital cities", description: "d" });
  for (const [number, country] of ["Italy", "France"].entries()) {
    await client.dataset.createItem({ datasetName: "world/capital cities", id: `${key}-${number}`, input: { country }, expectedOutput: "x", metadata: { number } });
  }
  const dataset = await client.getDataset("world/capital cities", { fetchItemsPageSize: 1 });
  assert.equal(dataset.items.length, 2);
  const result = await dataset.runExperiment({ name: "e", runName: "r", task: async ({ input }) => input.country, runEvaluators: [async () => ({ name: "all", value: 1 })] });
  assert.equal(result.datasetRunId, "run-1");
  assert.equal(result.experimentId, "run-1");
  assert.match(result.datasetRunUrl, /\/project\/[^/]+\/datasets\/.+\/runs\/run-1$/);
  await client.flush();
  const rows = await server.list(key);
  assert.equal(rows.length, 2);
  assert.deepEqual(linked.map((each) => each.observationId).sort(), rows.map((row) => row.span_id).sort());
  for (const row of rows) {
    assert.equal(row.attributes["langfuse.experiment.id"], "run-1");
    assert.equal(row.attributes["langfuse.experiment.dataset.id"], dataset.id);
  }
  const [item] = dataset.items;
  const observation = client.client.startObservation("linked");
  observation.end();
  await item.link(observation, "by hand");
  assert.equal(linked.at(-1).traceId, observation.traceId);
});

test("two clients at once: each experiment's observations go to its own", async () => {
  const [one, two] = [fresh(), fresh()];
  const experiment = ({ client }, name) =>
    client.experiment.run({
      name,
      data: Array.from({ length: 10 }, (_, number) => ({ input: number })),
      task: async ({ input }) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        t.startObservation(`of ${name}`).end();
        return input;
      },
    });
  await Promise.all([experiment(one, "one"), experiment(two, "two")]);
  await Promise.all([one.client.flush(), two.client.flush()]);
  for (const [{ key }, name] of [[one, "one"], [two, "two"]]) {
    const rows = await server.list(key);
    assert.equal(rows.length, 20);
    assert.equal(rows.filter((row) => row.name === `of ${name}`).length, 10);
  }
});

test("scores, prompts and the trace's address are ours", async () => {
  const { key, client } = fresh();
  const created = await client.createPrompt({ name: "greet", prompt: "Hello {{who}}", labels: ["production"] });
  assert.equal(created.version, 1);
  assert.equal((await client.getPrompt("greet")).compile({ who: "you" }), "Hello you");
  const observation = client.client.startObservation("scored");
  observation.end();
  client.score.observation(observation, { name: "s", value: 1 });
  client.score.create({ traceId: observation.traceId, name: "t", value: "good" });
  await client.shutdown();
  assert.deepEqual((await server.scores(key)).map((score) => score.name).sort(), ["s", "t"]);
  assert.match(await client.getTraceUrl("abc"), new RegExp(`^${server.url}/project/[^/]+/traces/abc$`));
  const media = new LangfuseMedia({ source: "bytes", contentBytes: Buffer.from("x"), contentType: "text/plain" });
  assert.match(await media.getTag(), /^@@@langfuseMedia:/);
});

test("a time limit holds for the REST client, and nothing of a failed request keeps the process alive", async () => {
  const hanging = createServer(() => undefined);
  await new Promise((resolve) => hanging.listen(0, "127.0.0.1", resolve));
  hanging.unref();
  const { client } = fresh(`http://127.0.0.1:${hanging.address().port}`, { timeout: 0.3 });
  const began = performance.now();
  await assert.rejects(async () => client.api.trace.list({ limit: 1 }));
  await assert.rejects(async () => client.api.projects.get());
  await assert.rejects(async () => client.api.datasets.getRun("a", "b"));
  assert.ok(performance.now() - began < 2500, `${performance.now() - began} ms`);
  hanging.closeAllConnections();
  const refused = `
    import { LangfuseClient } from "tracespool/client";
    const client = new LangfuseClient({ timeout: 30 });
    await client.api.trace.list({ limit: 1 }).catch((error) => console.log("refused", error.name));
  `;
  const ended = await run(refused, { url: "http://127.0.0.1:9", key: "pk" });
  assert.match(ended.out, /refused/);
  assert.ok(ended.seconds < 5, `${ended.seconds} s`);
});

test("raw responses and options of a request are those of the package", async () => {
  const { client } = fresh();
  const { data, rawResponse } = await client.api.projects.get().withRawResponse();
  assert.equal(rawResponse.status, 200);
  assert.equal(typeof data.data[0].id, "string");
  await assert.rejects(async () => client.api.projects.get({ timeoutInSeconds: 5, headers: { Authorization: "Basic bad" } }));
});

test("classes that the package makes, and what scripts use", async () => {
  const { client } = fresh();
  assert.ok(client.dataset instanceof DatasetManager);
  assert.ok(client.experiment instanceof ExperimentManager);
  assert.ok(new DatasetManager({ langfuseClient: client }) instanceof DatasetManager);
  const context = new RunnerContext({ client, data: [{ input: 1 }], metadata: { a: 1 } });
  const result = await context.runExperiment({ name: "n", metadata: { b: 2 }, task: async () => "x" });
  assert.equal(result.itemResults[0].output, "x");
  await assert.rejects(() => new RunnerContext({ client }).runExperiment({ name: "n", task: async () => "x" }), /no data/);
  for (const params of [{ result }, { result, message: "m" }, { result, metric: "a", value: 0.5 }, { result, metric: "a", value: 0.5, threshold: 1 }]) {
    assert.equal(new RegressionError(params).message, new theirs.RegressionError(params).message);
  }
  const evaluator = createEvaluatorFromAutoevals(async ({ output, expected }) => ({ name: "same", score: output === expected ? 1 : null, metadata: {} }), {});
  assert.deepEqual(await evaluator({ input: 1, output: "a", expectedOutput: "a" }), { name: "same", value: 1, metadata: {} });
  assert.equal((await evaluator({ input: 1, output: "a", expectedOutput: "b" })).value, 0);
});

test("without @langfuse/client everything else works, and what needs it says so", async () => {
  const home = join(dirname(fileURLToPath(import.meta.url)), "..");
  const place = mkdtempSync(join(tmpdir(), "tracespool-alone-"));
  try {
    const modules = join(place, "node_modules");
    mkdirSync(join(modules, "tracespool"), { recursive: true });
    cpSync(join(home, "dist"), join(modules, "tracespool", "dist"), { recursive: true });
    cpSync(join(home, "package.json"), join(modules, "tracespool", "package.json"));
    for (const name of ["mustache", "@tracespool"]) {
      assert.ok(existsSync(join(home, "node_modules", name)), name);
      symlinkSync(join(home, "node_modules", name), join(modules, name));
    }
    const program = join(place, "program.cjs");
    const source = `
      const { LangfuseClient } = require("tracespool/client");
      const client = new LangfuseClient({ publicKey: "pk", secretKey: "sk", baseUrl: "http://127.0.0.1:9" });
      for (const name of ["api", "dataset", "experiment"]) {
        try { client[name]; } catch (error) { console.log(error.message); }
      }
      client.score.create({ traceId: "0".repeat(31) + "1", name: "n", value: 1 });
    `;
    const { writeFileSync } = await import("node:fs");
    const { execFileSync } = await import("node:child_process");
    writeFileSync(program, source);
    const out = execFileSync(process.execPath, [program], { cwd: place, encoding: "utf8", timeout: 30_000, stdio: ["ignore", "pipe", "ignore"] });
    for (const name of ["api", "dataset", "experiment"]) {
      assert.match(out, new RegExp(`^${name} needs the package @langfuse/client 5, which is not installed: npm install`, "m"));
    }
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
});
