/** `observeOpenAI` under the names of `@langfuse/openai`. */
export { type LangfuseConfig, observeOpenAI } from "../openai/observe.js";
