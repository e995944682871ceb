/** Next.js: route handlers, and the instrumentation hook. */
import { backend, current, resolve, unref, variable } from "../internal.js";
import { type After, flushAfter, isServerless } from "./hosts.js";
import { Answering, type RequestOptions, checked } from "./request.js";

export interface NextOptions<Request> extends RequestOptions<Request> {
  /** `after` of `next/server`, where it is not found by itself: tasks for when the answer is out, which the host waits for. */
  after?: After;
  /** Sends what is pending when each answer is out. By default on serverless hosts only. */
  flush?: boolean;
  /** How long the host waits for that, in milliseconds; 2,000 by default. */
  flushTimeout?: number;
}

const FLUSH = 2000;
/** A body that nobody asks for more of for so long (milliseconds) is not waited for: its reader may have let it go. */
const IDLE = 30_000;

interface RequestLike {
  readonly method: string;
  readonly url: string;
  readonly headers: { get(name: string): string | null };
  readonly signal?: AbortSignal;
}

function pathOf(url: string): string {
  try {
    return new URL(url, "http://localhost").pathname;
  } catch {
    return url;
  }
}

/**
 * A body whose pieces are made as a part of the request, and which tells of its end. It takes from `body` only what is asked of it.
 *
 * @param idle Called where nobody has asked for more for long.
 */
function followed(
  body: ReadableStream<Uint8Array>,
  found: Answering,
  end: (aborted: boolean) => void,
  idle: () => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let timer: unknown;
  const wait = (): void => {
    timer = setTimeout(idle, IDLE);
    unref(timer);
  };
  const asked = (): void => clearTimeout(timer as NodeJS.Timeout);
  wait();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        asked();
        try {
          const { done, value } = await found.inside(() => reader.read());
          if (done) {
            end(false);
            controller.close();
          } else {
            controller.enqueue(value);
            wait();
          }
        } catch (error) {
          found.failed(error);
          end(false);
          controller.error(error);
        }
      },
      async cancel(reason) {
        asked();
        try {
          await found.inside(() => reader.cancel(reason));
        } finally {
          end(true);
        }
      },
    },
    { highWaterMark: 0 },
  );
}

/** The same answer; a body is followed to its end. Nothing of it is held back or kept. */
function answer(response: Response, request: RequestLike, found: Answering, over: () => void): Response {
  const { status, statusText, headers, body } = response;
  const end = (aborted: boolean): void => {
    found.end(status, undefined, aborted);
    over();
  };
  if (body === null || body.locked || request.method === "HEAD") {
    end(false);
    return response;
  }
  request.signal?.addEventListener("abort", () => end(true), { once: true });
  return new Response(followed(body, found, end, over), { status, statusText, headers });
}

/**
 * A route handler that does what `handler` does and whose work is one: `export const POST = withTracing(handler, { name: "chat" })`. With
 * `name` each request is an observation with method, path and status, which ends when the body is out or its reader is gone; what runs
 * while a body is streamed is inside of it. On serverless hosts what is pending is sent when the answer is out, and the host waits.
 */
export function withTracing<Handler extends (request: any, ...rest: any[]) => any>(handler: Handler, options?: NextOptions<Parameters<Handler>[0]>): Handler {
  const given = checked("withTracing", options);
  const traced = function (this: unknown, ...args: [RequestLike, ...unknown[]]): unknown {
    const [request] = args;
    const asked = { headers: request.headers, method: request.method, path: pathOf(request.url) };
    const found = Answering.begin(given, request as Parameters<Handler>[0], asked);
    if (found === undefined) {
      return handler.apply(this, args as never);
    }
    let over: () => void = () => undefined;
    if (given.flush ?? isServerless()) {
      const ended = new Promise<void>((resolve) => {
        over = resolve;
      });
      flushAfter(given.client, ended, given.flushTimeout ?? FLUSH, given.after);
    }
    return answered(found, request, () => handler.apply(this, args as never) as unknown, over);
  };
  return traced as unknown as Handler;
}

async function answered(found: Answering, request: RequestLike, handle: () => unknown, over: () => void): Promise<unknown> {
  let response: unknown;
  try {
    response = await found.inside(handle);
  } catch (error) {
    // Redirects and "not found" are thrown too: they are answers.
    const digest = (error as { digest?: unknown } | null)?.digest;
    if (typeof digest === "string" && digest.startsWith("NEXT_")) {
      found.end(undefined, undefined, false);
    } else {
      found.failed(error);
      found.end(500, undefined, false);
    }
    over();
    throw error;
  }
  if (response instanceof Response) {
    return answer(response, request, found, over);
  }
  found.end(undefined, undefined, false);
  over();
  return response;
}

/**
 * The instrumentation hook: `export { register, onRequestError } from "tracespool/next"` in `instrumentation.ts`. Loads the core when the
 * server starts instead of at the first request, and says then what is wrong with the environment. Does nothing on the edge runtime.
 */
export function register(): void {
  if (variable("NEXT_RUNTIME") !== "edge") {
    backend();
    resolve();
  }
}

/** The instrumentation hook for errors: records what was thrown with the current observation, where there is one. */
export function onRequestError(error: unknown, _request?: unknown, _context?: unknown): void {
  current().observation?.fail(error);
}
