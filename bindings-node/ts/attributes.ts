/** What an observation may be told, under the names of `@langfuse/tracing`. */

/** What an observation is. */
export type LangfuseObservationType =
  | "span"
  | "generation"
  | "event"
  | "embedding"
  | "agent"
  | "tool"
  | "chain"
  | "retriever"
  | "evaluator"
  | "guardrail";

export type ObservationLevel = "DEBUG" | "DEFAULT" | "WARNING" | "ERROR";

/** Usage as OpenAI's APIs tell it. */
export interface OpenAiUsage {
  prompt_tokens?: number;
  completion_tokens?: number;
  total_tokens?: number;
  input_tokens?: number;
  output_tokens?: number;
  [more: string]: unknown;
}

/** Values are captured by the call that passes them: changing an object later changes nothing. A field that is set again replaces. */
export type LangfuseSpanAttributes = {
  /** Any value; text as it is, anything else as JSON (docs/node-values.md). */
  input?: unknown;
  output?: unknown;
  /** Top-level keys merge; numbers and booleans stay what they are. */
  metadata?: Record<string, unknown>;
  level?: ObservationLevel;
  statusMessage?: string;
  version?: string;
  /** 1 to 40 of a-z, 0-9, `-` and `_`, not beginning with `langfuse`. */
  environment?: string;
};

export type LangfuseGenerationAttributes = LangfuseSpanAttributes & {
  /** When the model's first token arrived. */
  completionStartTime?: Date;
  model?: string;
  modelParameters?: { [key: string]: string | number };
  usageDetails?: { [key: string]: number } | OpenAiUsage;
  costDetails?: { [key: string]: number };
  /** Links to a prompt; one that is a fallback links to nothing. */
  prompt?: { name: string; version: number; isFallback: boolean };
};

export type LangfuseEventAttributes = LangfuseSpanAttributes;
export type LangfuseAgentAttributes = LangfuseSpanAttributes;
export type LangfuseToolAttributes = LangfuseSpanAttributes;
export type LangfuseChainAttributes = LangfuseSpanAttributes;
export type LangfuseRetrieverAttributes = LangfuseSpanAttributes;
export type LangfuseEvaluatorAttributes = LangfuseSpanAttributes;
export type LangfuseGuardrailAttributes = LangfuseSpanAttributes;
export type LangfuseEmbeddingAttributes = LangfuseGenerationAttributes;

export type LangfuseObservationAttributes = LangfuseSpanAttributes &
  LangfuseGenerationAttributes &
  LangfuseEventAttributes &
  LangfuseAgentAttributes &
  LangfuseToolAttributes &
  LangfuseChainAttributes &
  LangfuseRetrieverAttributes &
  LangfuseEvaluatorAttributes &
  LangfuseGuardrailAttributes;

/** @deprecated A trace's input and output are those of its root. */
export type LangfuseTraceAttributes = { input?: unknown; output?: unknown };

/** OpenTelemetry's `SpanContext`. */
export interface SpanContext {
  traceId: string;
  spanId: string;
  traceFlags?: number;
  isRemote?: boolean;
  traceState?: unknown;
}

/** The attributes that each type takes, and which fields they are of a record. */
export interface AttributesOf {
  span: LangfuseSpanAttributes;
  generation: LangfuseGenerationAttributes;
  event: LangfuseEventAttributes;
  embedding: LangfuseEmbeddingAttributes;
  agent: LangfuseAgentAttributes;
  tool: LangfuseToolAttributes;
  chain: LangfuseChainAttributes;
  retriever: LangfuseRetrieverAttributes;
  evaluator: LangfuseEvaluatorAttributes;
  guardrail: LangfuseGuardrailAttributes;
}
