/** Requests of Node's HTTP servers. */
import { Answering, type Asked, type RequestOptions } from "./request.js";

/** `http.IncomingMessage`. */
export interface Incoming {
  headers: Record<string, string | string[] | undefined>;
  method?: string;
  url?: string;
  emit(event: string | symbol, ...args: any[]): boolean;
}

/** `http.ServerResponse`. */
export interface Outgoing {
  statusCode: number;
  writableFinished: boolean;
  once(event: string, listener: () => void): unknown;
  emit(event: string | symbol, ...args: any[]): boolean;
}

function pathOf(url: string | undefined): string {
  const path = (url ?? "").split("?", 1)[0] as string;
  // An absolute address stands there for proxies.
  const at = path.indexOf("://");
  return at < 0 ? path : path.slice(Math.max(path.indexOf("/", at + 3), 0));
}

/**
 * Begins a request; its observation ends when the answer is out, or the connection is closed. Nothing of the answer is looked at.
 *
 * @param route Asked at the end, when the framework knows it.
 */
export function answering<Request>(
  options: RequestOptions<Request>,
  request: Request,
  incoming: Incoming & { originalUrl?: string },
  outgoing: Outgoing,
  route: () => string | undefined,
): Answering | undefined {
  const method = incoming.method ?? "GET";
  const asked: Asked = { headers: incoming.headers, method, path: pathOf(incoming.originalUrl ?? incoming.url) };
  const found = Answering.begin(options, request, asked);
  if (found === undefined) {
    return undefined;
  }
  if (found.observed) {
    const end = (): void => {
      const pattern = route();
      found.end(outgoing.statusCode, pattern === undefined ? undefined : `${method} ${pattern}`, !outgoing.writableFinished);
    };
    outgoing.once("finish", end);
    outgoing.once("close", end);
  }
  found.bind(incoming);
  found.bind(outgoing);
  return found;
}
