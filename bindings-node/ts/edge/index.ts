/** LLM tracing that costs microseconds: the API on hosts that are not Node. The same as there, and handlers. */
export * from "../entries/index.js";
export { type TracingOptions, withTracing } from "./serve.js";
