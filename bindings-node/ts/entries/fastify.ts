/** Fastify: `app.register(tracing, { name: true })`. */
export { type FastifyRequest, default, tracing } from "../web/fastify.js";
export type { RequestOptions } from "../web/request.js";
