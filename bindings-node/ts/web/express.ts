/** Express 4 and 5, and everything else whose middleware is `(request, response, next)`. */
import { type Observation, current } from "../internal.js";
import { type Incoming, type Outgoing, answering } from "./node.js";
import { type RequestOptions, checked } from "./request.js";

/** What is used of Express's `Request`. */
export interface ExpressRequest extends Incoming {
  originalUrl?: string;
  baseUrl?: string;
  route?: { path?: unknown };
}

type Next = (error?: unknown) => void;

function routeOf(request: ExpressRequest): string | undefined {
  const path = request.route?.path;
  return typeof path === "string" ? `${request.baseUrl ?? ""}${path}` : undefined;
}

/**
 * Middleware that makes each request's work one: `app.use(tracing({ name: true }))`, before the routes and the parsers of bodies. With
 * `name` each request is an observation with method, path and status, which ends when the answer is out or the connection is closed; no
 * headers, query strings or bodies. Nothing is held back.
 */
export function tracing<Request extends ExpressRequest = any>(
  options?: RequestOptions<Request>,
): (request: any, response: any, next: Next) => void {
  const given = checked("tracing", options);
  return function tracespool(request: Request, response: Outgoing, next: Next): void {
    const found = answering(given, request, request, response, () => routeOf(request));
    if (found === undefined) {
      next();
    } else {
      found.inside(() => next());
    }
  };
}

/** Middleware for errors, after the routes: records what was thrown with the current observation and passes it on. */
export function tracingErrors(): (error: unknown, request: any, response: any, next: Next) => void {
  return function tracespoolErrors(error, _request, _response, next): void {
    const { observation } = current() as { observation: Observation | null };
    observation?.fail(error);
    next(error);
  };
}
