/** Spans of other instrumentation (OpenInference, OpenLLMetry, the Vercel AI SDK, anything of OpenTelemetry's) into one client. */
export type { MaskFunction } from "../internal.js";
export {
  KNOWN_LLM_INSTRUMENTATION_SCOPE_PREFIXES,
  isDefaultExportSpan,
  isGenAISpan,
  isKnownLLMInstrumentor,
  isLangfuseSpan,
} from "../span/filter.js";
export { type LangfuseSpanProcessorParams, type ShouldExportSpan, LangfuseSpanProcessor, TracespoolSpanProcessor } from "../span/processor.js";
