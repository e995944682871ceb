/** Which spans belong into an LLM trace where nobody says otherwise: as observed of `@langfuse/otel` 5.11. */
import { type Readable, scopeOf } from "./readable.js";
/** @ts-ignore: without OpenTelemetry's SDK this is any. */
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";

/** Names of instrumentation scopes; each stands for those below it (`name.*`) too, except `ai`. */
export const KNOWN_LLM_INSTRUMENTATION_SCOPE_PREFIXES = [
  "langfuse-sdk",
  "agent_framework",
  "ai",
  "haystack",
  "langsmith",
  "litellm",
  "openinference",
  "opentelemetry.instrumentation.anthropic",
  "opentelemetry.instrumentation.aws_bedrock",
  "opentelemetry.instrumentation.bedrock",
  "opentelemetry.instrumentation.gemini",
  "opentelemetry.instrumentation.google_genai",
  "opentelemetry.instrumentation.google_generativeai",
  "opentelemetry.instrumentation.openai",
  "opentelemetry.instrumentation.openai_v2",
  "opentelemetry.instrumentation.vertex_ai",
  "opentelemetry.instrumentation.vertexai",
  "strands-agents",
  "vllm",
] as const;

const EXACT = new Set<string>(["ai"]);
const known = new Map<string, boolean>();
const MOST_NAMES = 1000;

function isKnown(name: string): boolean {
  let found = known.get(name);
  if (found === undefined) {
    found = KNOWN_LLM_INSTRUMENTATION_SCOPE_PREFIXES.some(
      (prefix) => name === prefix || (!EXACT.has(prefix) && name.startsWith(`${prefix}.`)),
    );
    if (known.size >= MOST_NAMES) {
      known.clear();
    }
    known.set(name, found);
  }
  return found;
}

function nameOf(span: unknown): string {
  return scopeOf(span as Readable)?.name ?? "";
}

/** Whether it is a span of a Langfuse SDK. */
export function isLangfuseSpan(span: ReadableSpan): boolean {
  return nameOf(span) === "langfuse-sdk";
}

/** Whether it has an attribute of the semantic conventions for generative AI. */
export function isGenAISpan(span: ReadableSpan): boolean {
  for (const key in span.attributes) {
    if (key.startsWith("gen_ai.")) {
      return true;
    }
  }
  return false;
}

/** Whether its instrumentation is known to be for language models. */
export function isKnownLLMInstrumentor(span: ReadableSpan): boolean {
  return isKnown(nameOf(span));
}

/** Any of these: what a span processor exports where `shouldExportSpan` says nothing. */
export function isDefaultExportSpan(span: ReadableSpan): boolean {
  return isKnownLLMInstrumentor(span) || isGenAISpan(span);
}
