// Programs written for the packages of Langfuse, with the import changed, under TypeScript's strict rules.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const home = join(dirname(fileURLToPath(import.meta.url)), "..");
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");

function compile(place, files, options = {}) {
  for (const [name, source] of Object.entries(files)) {
    writeFileSync(join(place, name), source);
  }
  const config = {
    compilerOptions: { strict: true, noEmit: true, module: "NodeNext", moduleResolution: "NodeNext", target: "ES2022", lib: ["ES2023", "ESNext.Disposable", "DOM", "DOM.AsyncIterable"], types: [], ...options },
    files: Object.keys(files),
  };
  writeFileSync(join(place, "tsconfig.json"), JSON.stringify(config));
  const ended = spawnSync(process.execPath, [tsc, "-p", place], { encoding: "utf8", timeout: 120_000 });
  assert.equal(ended.stdout + ended.stderr, "");
  assert.equal(ended.status, 0);
}

const TRACING = `
import * as tracing from "tracespool/tracing";
import {
  type LangfuseObservation, type LangfuseSpanAttributes, type ObserveOptions, type PropagateAttributesParams, type StartActiveObservationOpts,
  LangfuseAgent, LangfuseGeneration, LangfuseOtelSpanAttributes, LangfuseSpan,
  createObservationAttributes, createTraceAttributes, createTraceId, getActiveSpanId, getActiveTraceId, getLangfuseTracer, getLangfuseTracerProvider,
  observe, propagateAttributes, setActiveTraceAsPublic, setActiveTraceIO, setLangfuseTracerProvider, startActiveObservation, startObservation, updateActiveObservation,
} from "tracespool/tracing";

const span: LangfuseSpan = startObservation("a", { input: 1, metadata: { k: 1 } });
const generation: LangfuseGeneration = startObservation("a", { model: "m", usageDetails: { input: 1 }, costDetails: { total: 1 }, prompt: { name: "p", version: 1, isFallback: false } }, { asType: "generation", startTime: new Date() });
generation.update({ completionStartTime: new Date(), modelParameters: { t: 1 } }).end();
const agent: LangfuseAgent = span.startObservation("b", {}, { asType: "agent" });
agent.end(new Date());
const anything: LangfuseObservation = agent;
const length: number = startActiveObservation("n", (inside) => inside.update({ output: "x" }).id.length);
const later: Promise<string> = startActiveObservation("n", async (inside) => { inside.update({ model: "m" }); return inside.traceId; }, { asType: "generation", endOnExit: false });
const add = observe((a: number, b: number) => a + b, { name: "add", asType: "tool", captureInput: false } satisfies ObserveOptions);
const sum: number = add(1, 2);
const params: PropagateAttributesParams = { userId: "u", sessionId: "s", tags: ["t"], metadata: { k: "v" }, version: "v", traceName: "n", asBaggage: true };
const inside: number = propagateAttributes(params, () => 3);
updateActiveObservation({ output: 1 });
updateActiveObservation({ model: "m" }, { asType: "generation" });
setActiveTraceIO({ input: 1 });
setActiveTraceAsPublic();
setLangfuseTracerProvider(null);
setLangfuseTracerProvider(getLangfuseTracerProvider());
const given: StartActiveObservationOpts = { asType: "chain", parentSpanContext: span.otelSpan.spanContext() };
const key: LangfuseOtelSpanAttributes = LangfuseOtelSpanAttributes.OBSERVATION_INPUT;
const attributes: Record<string, unknown> = { ...createObservationAttributes("span", {} satisfies LangfuseSpanAttributes), ...createTraceAttributes({ input: 1 }) };
const id: Promise<string> = createTraceId("seed");
const active: (string | undefined)[] = [getActiveSpanId(), getActiveTraceId()];
getLangfuseTracer().startActiveSpan("x", (inner: { end(): void }) => inner.end());
// @ts-expect-error: a span has no model
startObservation("a", { model: "m" });
export { anything, length, later, sum, inside, given, key, attributes, id, active, tracing };
`;

const OTEL = `
import { type LangfuseSpanProcessorParams, type MaskFunction, type ShouldExportSpan, LangfuseSpanProcessor, TracespoolSpanProcessor, isDefaultExportSpan, isGenAISpan } from "tracespool/otel";
import { Client } from "tracespool";
const mask: MaskFunction = ({ data }) => data;
const shouldExportSpan: ShouldExportSpan = ({ otelSpan }) => isDefaultExportSpan(otelSpan) && !isGenAISpan(otelSpan) && otelSpan.name !== "";
const params: LangfuseSpanProcessorParams = { publicKey: "", secretKey: "", baseUrl: "", exportMode: "immediate", flushAt: 1, flushInterval: 1, timeout: 1, mask, shouldExportSpan, environment: "", release: "", mediaUploadEnabled: false, additionalHeaders: {} };
export const processors = [new LangfuseSpanProcessor(params), new TracespoolSpanProcessor(), new TracespoolSpanProcessor(new Client()), new TracespoolSpanProcessor({ client: new Client() })];
export const flushed: Promise<void> = processors[0]!.forceFlush();
`;

const CLIENT = `
import { type ExperimentParams, type LangfuseClientParams, ChatMessageType, ChatPromptClient, LangfuseClient, LangfuseMedia, RunnerContext, TextPromptClient } from "tracespool/client";
const params: LangfuseClientParams = { publicKey: "", secretKey: "", baseUrl: "", timeout: 3, additionalHeaders: {} };
const client = new LangfuseClient(params);
export async function use(): Promise<void> {
  const text: TextPromptClient = await client.prompt.get("n", { label: "l", cacheTtlSeconds: 1, fallback: "f" });
  const compiled: string = text.compile({ a: "b" });
  const chat: ChatPromptClient = await client.prompt.get("n", { type: "chat", fallback: [{ role: "user", content: compiled }] });
  chat.compile({}, { history: [] });
  await client.getPrompt("n");
  client.score.create({ name: "s", value: 1, traceId: "t" });
  client.score.activeTrace({ name: "s", value: true });
  const dataset = await client.dataset.get("d");
  const run: Omit<ExperimentParams, "data"> = { name: "e", task: async (item: { input?: unknown }) => item.input };
  const result = await dataset.runExperiment(run);
  const formatted: string = await result.format();
  await client.api.trace.list({ limit: 1 }, { timeoutInSeconds: 2 });
  await new RunnerContext({ client, data: [] }).runExperiment({ name: "e", task: async () => formatted });
  const url: string = await client.getTraceUrl("t");
  new LangfuseMedia({ source: "bytes", contentBytes: new Uint8Array(), contentType: url });
  const type: ChatMessageType = ChatMessageType.Placeholder;
  await client.media.resolveReferences({ obj: { type }, resolveWith: "base64DataUri" });
  return client.flush();
}
`;

const WEB = `
import { tracing, tracingErrors } from "tracespool/express";
import plugin from "tracespool/fastify";
import { onRequestError, register, withTracing } from "tracespool/next";
export const middleware = [tracing({ name: true, userId: (request) => request.headers["x-user"] }), tracingErrors()];
export const GET = withTracing(async (request: Request, { params }: { params: { id: string } }) => new Response(params.id + request.url), { name: "n", after: (task) => void task() });
export const answer: Promise<Response> = GET(new Request("http://x"), { params: { id: "1" } });
export { onRequestError, plugin, register };
`;

const REAL = `
import type { Span, Tracer, TracerProvider } from "@opentelemetry/api";
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { TracespoolSpanProcessor } from "tracespool/otel";
import { getLangfuseTracer, getLangfuseTracerProvider, setLangfuseTracerProvider, startObservation } from "tracespool/tracing";
export const provider = new NodeTracerProvider({ spanProcessors: [new TracespoolSpanProcessor({ exporter: new InMemorySpanExporter() })] });
setLangfuseTracerProvider(provider);
export const tracer: Tracer = getLangfuseTracer();
export const given: TracerProvider = getLangfuseTracerProvider();
export const span: Span = startObservation("x").otelSpan;
`;

function project(work) {
  const place = mkdtempSync(join(tmpdir(), "tracespool-types-"));
  try {
    writeFileSync(join(place, "package.json"), '{ "type": "module" }');
    return work(place);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

test("beside the packages that they come from", () =>
  project((place) => {
    symlinkSync(join(home, "node_modules"), join(place, "node_modules"));
    mkdirSync(join(place, "own"));
    const real = join(home, "dist", "esm", "entries");
    const paths = Object.fromEntries(["tracing", "otel", "client", "express", "fastify", "next"].map((name) => [`tracespool/${name}`, [join(real, `${name}.d.ts`)]]));
    paths.tracespool = [join(real, "index.d.ts")];
    compile(place, { "tracing.ts": TRACING, "otel.ts": OTEL, "client.ts": CLIENT, "web.ts": WEB, "real.ts": REAL }, { skipLibCheck: true, paths, types: ["node"] });
  }));

test("without any of them, and with the declarations themselves checked", () =>
  project((place) => {
    const modules = join(place, "node_modules");
    mkdirSync(join(modules, "tracespool"), { recursive: true });
    cpSync(join(home, "dist"), join(modules, "tracespool", "dist"), { recursive: true });
    cpSync(join(home, "package.json"), join(modules, "tracespool", "package.json"));
    mkdirSync(join(modules, "@types"));
    for (const name of ["@types/node", "@types/mustache", "undici-types", "mustache"]) {
      symlinkSync(join(home, "node_modules", name), join(modules, name));
    }
    const files = { "tracing.ts": TRACING, "otel.ts": OTEL, "client.ts": CLIENT, "web.ts": WEB };
    compile(place, files, { skipLibCheck: false, types: ["node"] });
    // The same for `require`.
    const older = Object.fromEntries(Object.entries(files).map(([name, source]) => [name.replace(".ts", ".cts"), source]));
    compile(place, older, { skipLibCheck: true, types: ["node"] });
  }));
