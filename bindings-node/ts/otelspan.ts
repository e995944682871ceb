/** An observation as OpenTelemetry's `Span`, for code that expects one. Attributes under Langfuse's keys set the fields that they stand for. */
import type { SpanContext } from "./attributes.js";
import type { TimeInput } from "./clock.js";
import type { Observation } from "./observation.js";
import type { Scope } from "./scope.js";
import { setAttribute } from "./foreign.js";
import { attempt } from "./log.js";

/** On the span contexts of observations: what they stand for, so that a child of one in this process is its child. */
export const SCOPE = Symbol.for("tracespool.scope");

export type AttributeValue = string | number | boolean | (string | number | boolean | null | undefined)[];

export class ObservationSpan {
  /** @internal */
  readonly [SCOPE]: Scope;

  constructor(private readonly observation: Observation) {
    this[SCOPE] = observation.scope;
  }

  /** Its ids. */
  spanContext(): Omit<SpanContext, "traceState"> & { traceFlags: number } {
    const { scope } = this.observation;
    const ids = { traceId: scope.traceId, spanId: scope.spanId, traceFlags: scope.recorded ? 1 : 0, isRemote: false };
    Object.defineProperty(ids, SCOPE, { value: scope });
    return ids;
  }

  setAttribute(key: string, value: AttributeValue): this {
    setAttribute(this.observation, key, value);
    return this;
  }

  setAttributes(attributes: Record<string, AttributeValue | undefined>): this {
    attempt("attributes of a span", () => {
      for (const [key, value] of Object.entries(attributes ?? {})) {
        setAttribute(this.observation, key, value);
      }
    });
    return this;
  }

  /** Events have no place in an observation; start one with `asType: "event"`. */
  addEvent(): this {
    return this;
  }

  addLink(): this {
    return this;
  }

  addLinks(): this {
    return this;
  }

  /** An error (code 2) sets level and status message. */
  setStatus(status: { code: number; message?: string }): this {
    attempt("a span's status", () => {
      if (status?.code === 2) {
        this.observation.take({ level: "ERROR", statusMessage: status.message });
      }
    });
    return this;
  }

  updateName(name: string): this {
    this.observation.updateName(name);
    return this;
  }

  end(endTime?: TimeInput): void {
    this.observation.end(endTime);
  }

  isRecording(): boolean {
    return this.observation.isRecording();
  }

  recordException(exception: unknown): void {
    this.observation.fail(exception);
  }
}
