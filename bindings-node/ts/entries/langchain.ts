/** `CallbackHandler` under the names of `@langfuse/langchain`. */
export { CallbackHandler, type CallbackHandlerParams } from "../langchain/handler.js";
