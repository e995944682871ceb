/** Fastify 4 and 5. */
import { type Incoming, type Outgoing, answering } from "./node.js";
import { type Answering, type RequestOptions, checked } from "./request.js";

/** What is used of Fastify's `FastifyRequest`. */
export interface FastifyRequest {
  raw: Incoming;
  routeOptions?: { url?: string };
}

interface Reply {
  raw: Outgoing;
}

interface Instance {
  addHook(name: string, hook: (...args: any[]) => void): unknown;
}

/**
 * A plugin that makes each request's work one: `app.register(tracing, { name: true })`, before the routes. With `name` each request is an
 * observation with method, route and status, which ends when the answer is out or the connection is closed; what a handler throws is
 * recorded. No headers, query strings or bodies. Nothing is held back.
 */
function tracing(app: any, options: RequestOptions<any>, done: (error?: Error) => void): void {
  const given = checked("tracing", options);
  const open = new WeakMap<object, Answering>();
  const instance = app as Instance;
  instance.addHook("onRequest", (request: FastifyRequest, reply: Reply, next: () => void) => {
    const found = answering(given, request, request.raw, reply.raw, () => request.routeOptions?.url);
    if (found === undefined) {
      next();
    } else {
      open.set(request, found);
      found.inside(next);
    }
  });
  instance.addHook("onError", (request: FastifyRequest, _reply: Reply, error: unknown, next: () => void) => {
    open.get(request)?.failed(error);
    next();
  });
  done();
}

// Its hooks hold for the whole application, not only for what is registered inside.
Object.assign(tracing, { [Symbol.for("skip-override")]: true, [Symbol.for("fastify.display-name")]: "tracespool" });

export { tracing };
export default tracing;
