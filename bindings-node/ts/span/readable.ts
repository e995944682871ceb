/** What is read of a finished span of OpenTelemetry's SDK, 1.x or 2.x. */
import type { SpanContext } from "../internal.js";

export type Attributes = Record<string, unknown>;

export interface TimedEvent {
  readonly name: string;
  readonly time: [number, number];
  readonly attributes?: Attributes;
}

export interface Link {
  readonly context: SpanContext;
  readonly attributes?: Attributes;
}

export interface Scope {
  readonly name: string;
  readonly version?: string;
  readonly schemaUrl?: string;
  readonly attributes?: Attributes;
}

export interface Resource {
  readonly attributes?: Attributes;
  readonly schemaUrl?: string;
  readonly asyncAttributesPending?: boolean;
}

export interface Readable {
  readonly name: string;
  readonly kind: number;
  readonly startTime: [number, number];
  readonly endTime: [number, number];
  readonly status?: { code: number; message?: string };
  readonly attributes: Attributes;
  readonly events?: TimedEvent[];
  readonly links?: Link[];
  readonly resource?: Resource;
  readonly droppedAttributesCount?: number;
  readonly droppedEventsCount?: number;
  readonly droppedLinksCount?: number;
  spanContext(): SpanContext;
  // 2.x, then 1.x.
  readonly parentSpanContext?: SpanContext;
  readonly parentSpanId?: string;
  readonly instrumentationScope?: Scope;
  readonly instrumentationLibrary?: Scope;
}

export function scopeOf(span: Readable): Scope | undefined {
  return span.instrumentationScope ?? span.instrumentationLibrary;
}

export function parentOf(span: Readable): { spanId: string; isRemote?: boolean } | undefined {
  if (span.parentSpanContext !== undefined) {
    return span.parentSpanContext;
  }
  return span.parentSpanId === undefined ? undefined : { spanId: span.parentSpanId };
}
