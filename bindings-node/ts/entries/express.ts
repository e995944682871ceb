/** Express: `app.use(tracing({ name: true }))`. */
export { type ExpressRequest, tracing, tracingErrors } from "../web/express.js";
export type { RequestOptions } from "../web/request.js";
