/** A request that is being answered: what is current while it is, and its observation. Shared by all frameworks. */
import {
  type Client,
  type Headers,
  type LangfuseObservationType,
  type Observation,
  type PropagateAttributesParams,
  Scope,
  baggageAttributes,
  begin,
  context,
  current,
  enter,
  extract,
  propagateAttributes,
  resolve,
  shown,
  tell,
} from "../internal.js";

/** What a function of the application may answer for one request; what it throws is told and counts as nothing. */
type Of<Request, T> = (request: Request) => T | undefined | null;

export interface RequestOptions<Request> {
  /** The client that observations go to; by default the environment's, or the only one. */
  client?: Client;
  /**
   * Makes each request an observation of this name: a text, what a function answers (nothing: not this request), or with `true` method and
   * route. Not given: requests are no observations, and the rest of the options holds for what runs inside.
   */
  name?: string | true | Of<Request, string>;
  /** What the observation is; `span` by default. */
  asType?: LangfuseObservationType;
  /**
   * True takes over what `traceparent` and `baggage` of a request say: the request's observation goes below the sender's. Only for
   * senders that you trust. False by default.
   */
  continueTrace?: boolean;
  userId?: Of<Request, string>;
  sessionId?: Of<Request, string>;
  tags?: Of<Request, string[]>;
  metadata?: Of<Request, Record<string, string | number | boolean>>;
  /** True leaves a request alone. */
  ignore?: Of<Request, boolean>;
}

/** What a framework knows of a request. */
export interface Asked {
  readonly headers: Headers;
  readonly method: string;
  /** Without query string. */
  readonly path: string;
}

function answer<Request, T>(what: string, fn: Of<Request, T> | undefined, request: Request): T | undefined {
  if (fn === undefined) {
    return undefined;
  }
  try {
    return fn(request) ?? undefined;
  } catch (error) {
    tell(`${what} of a request cannot be found: ${shown(String(error))}`);
    return undefined;
  }
}

/** What the request propagates. */
function said<Request>(options: RequestOptions<Request>, request: Request, asked: Asked): PropagateAttributesParams {
  const all: PropagateAttributesParams = options.continueTrace === true ? baggageAttributes(asked.headers) : {};
  for (const name of ["userId", "sessionId", "tags", "metadata"] as const) {
    const found = answer<Request, unknown>(name, options[name] as Of<Request, unknown> | undefined, request);
    if (found !== undefined) {
      (all as Record<string, unknown>)[name] = found;
    }
  }
  return all;
}

/** One request. Nothing of it throws. */
export class Answering {
  /** What is current while it is answered. */
  readonly scope: Scope;
  private readonly observation: Observation | null;
  private readonly named: boolean;
  private over = false;

  private constructor(scope: Scope, observation: Observation | null, named: boolean) {
    this.scope = scope;
    this.observation = observation;
    this.named = named;
  }

  /** `undefined` for a request that is left alone. */
  static begin<Request>(options: RequestOptions<Request>, request: Request, asked: Asked): Answering | undefined {
    try {
      if (answer("ignore", options.ignore, request) === true) {
        return undefined;
      }
      return Answering.made(options, request, asked);
    } catch (error) {
      tell(`a request cannot be traced: ${shown(String(error))}`);
      return undefined;
    }
  }

  private static made<Request>(options: RequestOptions<Request>, request: Request, asked: Asked): Answering {
    const { name, client } = options;
    const handle = client?.handle ?? resolve();
    const parent = options.continueTrace === true ? extract(asked.headers) : undefined;
    const outside = client === undefined ? current() : current().using(handle);
    const attributes = said(options, request, asked);
    const scope = context.run(outside, () => (Object.keys(attributes).length === 0 ? outside : propagateAttributes(attributes, current)));
    const own = typeof name === "function" ? answer("name", name, request) : name === true ? `${asked.method} ${asked.path}` : name;
    if (own === undefined || own === "") {
      if (parent === undefined) {
        return new Answering(scope, null, false);
      }
      // What begins inside is in the sender's trace.
      const { propagated, metadata, baggage } = scope;
      return new Answering(new Scope(scope.client, null, parent.traceId, "", "", false, propagated, metadata, baggage), null, false);
    }
    const observation = context.run(scope, () =>
      begin(handle, own, { metadata: { method: asked.method, path: asked.path } }, { asType: options.asType, parentSpanContext: parent }),
    );
    return new Answering(observation.scope, observation, name === true);
  }

  /** Whether anybody wants to know how it ends. */
  get observed(): boolean {
    return this.observation !== null;
  }

  /** Runs code of the application's as a part of it. */
  inside<R>(fn: () => R): R {
    return enter(this.scope, fn, undefined);
  }

  /** Makes it current for what an emitter tells: bodies come and go by events, which know nothing of where they began. */
  bind(emitter: { emit(event: string | symbol, ...args: any[]): boolean }): void {
    const { emit } = emitter;
    const { scope } = this;
    emitter.emit = function (this: unknown, ...args) {
      return context.getStore() === scope ? emit.apply(emitter, args) : enter(scope, () => emit.apply(emitter, args), undefined);
    };
  }

  /** Something was thrown; it is not over yet. */
  failed(error: unknown): void {
    if (!this.over) {
      this.observation?.fail(error);
    }
  }

  /** It is answered, or its sender is gone. `route`: the pattern of its path, where there is one. */
  end(status: number | undefined, route: string | undefined, aborted: boolean): void {
    const { observation } = this;
    if (this.over || observation === null) {
      return;
    }
    this.over = true;
    if (this.named && route !== undefined) {
      observation.updateName(route);
    }
    const metadata: Record<string, unknown> = {};
    if (status !== undefined) {
      metadata["status"] = status;
    }
    if (aborted) {
      observation.take({ level: "WARNING", statusMessage: "the connection was closed before the answer was complete" });
    } else if (status !== undefined && status >= 500) {
      observation.take({ level: "ERROR" });
    }
    observation.take({ metadata });
    observation.end();
  }
}

/** Options that are no object are told. */
export function checked<T extends object>(what: string, options: T | undefined): T {
  if (options === undefined || options === null) {
    return {} as T;
  }
  if (typeof options !== "object") {
    tell(`${what}: ${shown(options)} is no object of options; it is ignored`);
    return {} as T;
  }
  return options;
}
