/** A tracer in OpenTelemetry's shape whose spans are observations, for code that expects one. Nothing of OpenTelemetry is needed. */
import {
  type AttributeValue,
  type Observation,
  type ObservationSpan,
  type TimeInput,
  Scope,
  begin,
  current,
  enter,
  home,
  look,
  tell,
} from "../internal.js";

export interface SpanOptions {
  attributes?: Record<string, AttributeValue | undefined>;
  startTime?: TimeInput;
  /** True: no parent, a trace of its own. */
  root?: boolean;
  kind?: number;
  links?: unknown;
}

interface Context {
  getValue(key: symbol): unknown;
}

/** The scope of a span that was passed a context, or is to be a root; `undefined` for what is current. */
function place(options: SpanOptions | undefined, context: Context | undefined): { below?: Scope; parent?: { traceId: string; spanId: string } } {
  const { client, propagated, metadata, baggage } = current();
  const outside = (): Scope => new Scope(client, null, "", "", "", false, propagated, metadata, baggage);
  if (options?.root === true) {
    return { below: outside() };
  }
  if (context === undefined || context === null) {
    return {};
  }
  const { carried, foreign } = look(context as Parameters<typeof look>[0]);
  if (carried !== undefined) {
    return { below: carried };
  }
  return foreign === undefined ? {} : { parent: foreign };
}

function start(name: string, options: SpanOptions | undefined, context: Context | undefined): Observation {
  const { below, parent } = place(options, context);
  const observation = begin(null, name, undefined, { startTime: options?.startTime as Date, parentSpanContext: parent }, below);
  if (options?.attributes !== undefined) {
    observation.otelSpan.setAttributes(options.attributes);
  }
  return observation;
}

export class ObservationTracer {
  /** A span that is not made current. */
  startSpan(name: string, options?: SpanOptions, context?: unknown): ObservationSpan {
    return start(name, options, context as Context | undefined).otelSpan;
  }

  /** A span that is current while `fn` runs; `fn` ends it. Returns what `fn` returns. */
  startActiveSpan<F extends (span: ObservationSpan) => unknown>(name: string, fn: F): ReturnType<F>;
  startActiveSpan<F extends (span: ObservationSpan) => unknown>(name: string, options: SpanOptions, fn: F): ReturnType<F>;
  startActiveSpan<F extends (span: ObservationSpan) => unknown>(name: string, options: SpanOptions, context: unknown, fn: F): ReturnType<F>;
  startActiveSpan(name: string, ...rest: unknown[]): unknown {
    const fn = rest.pop() as (span: ObservationSpan) => unknown;
    const observation = start(name, rest[0] as SpanOptions | undefined, rest[1] as Context | undefined);
    return enter(observation.scope, () => fn(observation.otelSpan), undefined);
  }
}

const tracer = new ObservationTracer();

/** Gives out tracers; the name that is asked for changes nothing. */
export class ObservationTracerProvider {
  getTracer(_name?: string, _version?: string, _options?: unknown): ObservationTracer {
    return tracer;
  }
}

const provider = new ObservationTracerProvider();

/** Whatever is in that shape: OpenTelemetry's `TracerProvider`. */
export interface TracerProviderLike {
  getTracer(name: string, version?: string, options?: any): any;
}

/**
 * Remembers a provider for `getLangfuseTracerProvider()` and `getLangfuseTracer()`. Observations do not go through it: they go to a
 * client. To send what such a provider's spans are to a client, give the provider a `TracespoolSpanProcessor`. `null` forgets it.
 */
export function setLangfuseTracerProvider(given: TracerProviderLike | null): void {
  if (given !== null && given !== undefined && typeof given.getTracer !== "function") {
    tell("setLangfuseTracerProvider: what was passed is no tracer provider; it is ignored");
    return;
  }
  home.provider = given ?? undefined;
}

/** The provider that was set; else one whose spans are observations. */
export function getLangfuseTracerProvider(): TracerProviderLike {
  return (home.provider as TracerProviderLike | undefined) ?? provider;
}

/** A tracer of that provider. Its spans are observations, unless a provider was set. */
export function getLangfuseTracer(): any {
  return getLangfuseTracerProvider().getTracer("langfuse-sdk");
}
