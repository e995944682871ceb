/** A finished span as text, the one thing of it that crosses into the core; its `span.rs` defines the form. */
import { END, MAX_TEXT, type SpanContext, base64, scalar, text, word } from "../internal.js";
import { type Attributes, type Link, type Readable, type Resource, type Scope, type TimedEvent, parentOf, scopeOf } from "./readable.js";
import type { Started } from "./started.js";

/** What of a span may be changed before it leaves. The span itself stays as it is. */
export interface Content {
  attributes: Attributes;
  events: readonly TimedEvent[];
  links: readonly Link[];
  message: string;
}

export function contentOf(span: Readable): Content {
  return { attributes: span.attributes ?? {}, events: span.events ?? [], links: span.links ?? [], message: span.status?.message ?? "" };
}

const NO_PARENT = "0".repeat(16);

/** Nanoseconds since 1970. */
function nanoseconds(time: readonly [number, number]): string {
  const [seconds, rest] = time;
  return `${Math.max(0, Math.trunc(seconds))}${String(Math.trunc(rest)).padStart(9, "0")}`;
}

function isPrimitive(value: unknown): boolean {
  return value === null || value === undefined || (typeof value !== "object" && typeof value !== "function");
}

/** A value; empty for none. What is no value of OpenTelemetry's becomes JSON text, bytes base64. */
function value(given: unknown): string {
  if (typeof given === "string") {
    return text(given);
  }
  if (Array.isArray(given) && given.every(isPrimitive)) {
    const elements = given.map((each) => scalar(each, MAX_TEXT, null)).filter((each) => each !== "");
    return `(${elements.length}${END}${elements.join("")}`;
  }
  if (given instanceof Uint8Array) {
    return text(base64(given));
  }
  return scalar(given, MAX_TEXT, null);
}

function written(attributes: Attributes | undefined, letter: string): string {
  let all = "";
  for (const key in attributes) {
    const one = value(attributes[key]);
    if (one !== "") {
      all += letter + word(key) + END + one;
    }
  }
  return all;
}

function state(context: SpanContext): string {
  const { traceState } = context as { traceState?: { serialize?: () => string } };
  return typeof traceState?.serialize === "function" ? word(traceState.serialize()) : "";
}

const envelopes = new WeakMap<object, WeakMap<object, string>>();
const NOTHING = {};

/** Scope and resource, made once for each pair of objects. */
export function envelopeOf(span: Readable): string {
  const scope: Scope = scopeOf(span) ?? (NOTHING as Scope);
  const resource: Resource = span.resource ?? NOTHING;
  const known = envelopes.get(scope)?.get(resource);
  if (known !== undefined) {
    return known;
  }
  const made =
    [scope.name, scope.version, scope.schemaUrl, resource.schemaUrl].map((part) => word(part ?? "") + END).join("") +
    written(scope.attributes, "s") +
    written(resource.attributes, "r");
  if (resource.asyncAttributesPending !== true) {
    let byResource = envelopes.get(scope);
    if (byResource === undefined) {
      envelopes.set(scope, (byResource = new WeakMap()));
    }
    byResource.set(resource, made);
  }
  return made;
}

export function textOf(span: Readable, content: Content, started: Started | undefined): string {
  const ids = span.spanContext();
  const parent = started?.orphan === true ? undefined : parentOf(span);
  const code = span.status?.code ?? 0;
  let all =
    `${ids.traceId}${ids.spanId}${parent?.spanId ?? NO_PARENT}${span.kind}${code}${parent?.isRemote === true ? 1 : 0}` +
    `${started?.appRoot === true ? 1 : 0}${word(span.name)}${END}${word(content.message)}${END}${state(ids)}${END}` +
    `${nanoseconds(span.startTime)}${END}${nanoseconds(span.endTime)}${END}` +
    `${span.droppedAttributesCount ?? 0}${END}${span.droppedEventsCount ?? 0}${END}${span.droppedLinksCount ?? 0}${END}`;
  all += written(content.attributes, "a");
  for (const event of content.events) {
    all += `e${nanoseconds(event.time)}${END}${word(event.name)}${END}${written(event.attributes, "a")}`;
  }
  for (const { context, attributes } of content.links) {
    all += `l${context.traceId}${context.spanId}${context.isRemote === true ? 1 : 0}${state(context)}${END}${written(attributes, "a")}`;
  }
  return all;
}
