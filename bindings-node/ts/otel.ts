/**
 * Beside OpenTelemetry's context. Only where the application has loaded `@opentelemetry/api` and registered a context manager: it is
 * looked at through the symbol under which that package shares its globals, and never imported. Its current span is the parent where no
 * observation is nearer, and an observation that is current is its current span too.
 */
import { context, home } from "./home.js";
import { variable } from "./host.js";
import { isSpanId, isTraceId } from "./ids.js";
import { tell } from "./log.js";
import type { Scope } from "./scope.js";
import type { SpanContext } from "./attributes.js";

/** As in `@opentelemetry/api` 1.x: its globals, and the keys of its contexts. */
const GLOBALS = Symbol.for("opentelemetry.js.api.1");
export const SPAN_KEY = Symbol.for("OpenTelemetry Context Key SPAN");
export const BAGGAGE_KEY = Symbol.for("OpenTelemetry Baggage Key");

const off = variable("TRACESPOOL_OTEL_CONTEXT") === "0";
const ignoresBaggage = variable("TRACESPOOL_READ_BAGGAGE") === "0";

interface Context {
  getValue(key: symbol): unknown;
  setValue(key: symbol, value: unknown): Context;
}

interface ContextManager {
  active(): Context;
  with<R>(context: Context, fn: (argument: never) => R, thisArg: undefined, argument: unknown): R;
}

/** The registered context manager. */
export function manager(): ContextManager | undefined {
  const globals = (globalThis as Record<symbol, unknown>)[GLOBALS] as { context?: ContextManager } | undefined;
  return globals === undefined || off ? undefined : globals.context;
}

/** Marks the spans that stand for observations in OpenTelemetry's contexts, whichever copy of this package made them. */
const STANDS_FOR = Symbol.for("tracespool.scope");

/** What `trace.getActiveSpan()` is while an observation is current: its ids; it records nothing. */
export class ContextSpan {
  readonly [STANDS_FOR]: Scope;
  constructor(scope: Scope) {
    this[STANDS_FOR] = scope;
  }
  spanContext(): SpanContext {
    const { traceId, spanId, recorded } = this[STANDS_FOR];
    return { traceId, spanId, traceFlags: recorded ? 1 : 0, isRemote: false };
  }
  setAttribute(): this {
    return this;
  }
  setAttributes(): this {
    return this;
  }
  addEvent(): this {
    return this;
  }
  addLink(): this {
    return this;
  }
  addLinks(): this {
    return this;
  }
  setStatus(): this {
    return this;
  }
  updateName(): this {
    return this;
  }
  end(): void {
    // The observation ends by itself.
  }
  isRecording(): boolean {
    return false;
  }
  recordException(): void {
    // Records nothing.
  }
}

/** What OpenTelemetry says of where code runs. */
export interface Around {
  /** A span of other instrumentation that is current. */
  foreign: Required<Pick<SpanContext, "traceId" | "spanId">> & { remote: boolean; sampled: boolean } | undefined;
  /** The scope of an observation that is OpenTelemetry's current span. */
  carried: Scope | undefined;
  /** What came with a request as baggage, as a record's beginning. */
  baggage: string;
  /** The trace that has its root in another process, as baggage says. */
  claimed: string | undefined;
}

/** `null` where OpenTelemetry's context cannot be asked: that is all it costs there. */
export function around(): Around | null {
  const found = manager();
  if (found === undefined) {
    return null;
  }
  try {
    return look(found.active());
  } catch (error) {
    tell(`OpenTelemetry's context cannot be used: ${String(error)}`);
    return null;
  }
}

/** The same of a context that was passed. */
export function look(active: Context): Around {
  const result: Around = { foreign: undefined, carried: undefined, baggage: "", claimed: undefined };
  const span = active.getValue(SPAN_KEY) as { [STANDS_FOR]?: Scope; spanContext?(): SpanContext } | undefined;
  if (span !== undefined && span !== null) {
    if (span[STANDS_FOR] !== undefined) {
      result.carried = span[STANDS_FOR];
    } else {
      const ids = span.spanContext?.();
      if (ids !== undefined && isTraceId(ids.traceId) && isSpanId(ids.spanId)) {
        result.foreign = { traceId: ids.traceId, spanId: ids.spanId, remote: ids.isRemote === true, sampled: ((ids.traceFlags ?? 1) & 1) === 1 };
      }
    }
  }
  const baggage = active.getValue(BAGGAGE_KEY);
  if (baggage !== undefined && baggage !== null && !ignoresBaggage) {
    Object.assign(result, readBaggage(baggage as Baggage));
  }
  return result;
}

interface Baggage {
  getAllEntries(): [string, { value: string }][];
}

const read = new WeakMap<object, Pick<Around, "baggage" | "claimed">>();

function readBaggage(baggage: Baggage): Pick<Around, "baggage" | "claimed"> {
  const known = read.get(baggage);
  if (known !== undefined) {
    return known;
  }
  const entries: Record<string, string> = {};
  let claimed: string | undefined;
  let some = false;
  for (const [name, { value }] of baggage.getAllEntries()) {
    if (name === "langfuse_trace_id") {
      claimed = value;
    } else if (name.startsWith("langfuse_")) {
      entries[name] = value;
      some = true;
    }
  }
  let record = "";
  if (some && home.backend !== undefined) {
    const answer = JSON.parse(home.backend.propagate("", JSON.stringify({ baggage: entries }))) as { record: string; problems: string[] };
    record = answer.record;
    for (const problem of answer.problems) {
      tell(`baggage: ${problem}`);
    }
  }
  const made = { baggage: record, claimed };
  read.set(baggage, made);
  return made;
}

/** Runs `fn` where `scope` is current, here and for OpenTelemetry. */
export function enter<R>(scope: Scope, fn: (argument: never) => R, argument: unknown): R {
  const found = manager();
  if (found === undefined) {
    return context.run(scope, fn as (argument: unknown) => R, argument);
  }
  let inside: Context;
  try {
    inside = found.active().setValue(SPAN_KEY, new ContextSpan(scope));
  } catch (error) {
    tell(`OpenTelemetry's context cannot be used: ${String(error)}`);
    return context.run(scope, fn as (argument: unknown) => R, argument);
  }
  return found.with(inside, () => context.run(scope, fn as (argument: unknown) => R, argument), undefined, undefined);
}
