/** Next.js: `export const POST = withTracing(handler, { name: "chat" })`. */
export { type NextOptions, onRequestError, register, withTracing } from "../web/next.js";
export type { RequestOptions } from "../web/request.js";
