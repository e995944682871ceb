/**
 * A trace across processes: the headers `traceparent` and `baggage` (W3C Trace Context, W3C Baggage), without OpenTelemetry. `baggage` is
 * sent only where `propagateAttributes({ asBaggage: true })` asked for it, and read only by `attributes`; anybody who can send a request
 * can write it.
 */
import type { SpanContext } from "./attributes.js";
import { entries } from "./baggage.js";
import { backend } from "./handle.js";
import { attempt, tell } from "./log.js";
import { around } from "./otel.js";
import type { PropagateAttributesParams } from "./propagate.js";
import { current } from "./scope.js";

/** Of one `baggage` header: section 3.3.2 of W3C Baggage. */
const MAX_BYTES = 8192;
const MAX_ENTRIES = 180;

/** Headers as requests have them. */
export type Headers = Record<string, string | string[] | undefined> | { get(name: string): string | null };

/** Adds the headers by which the receiver goes on below what is current here. Outside of any observation, none. */
export function inject<H extends Record<string, string | string[] | undefined>>(headers: H): H {
  const here = current();
  const foreign = around()?.foreign;
  const { traceId, spanId } = foreign ?? here;
  if (traceId === "") {
    return headers;
  }
  const target = headers as Record<string, string | string[] | undefined>;
  const sampled = foreign?.sampled ?? here.recorded;
  target["traceparent"] = `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`;
  const baggage: string[] = typeof target["baggage"] === "string" && target["baggage"] !== "" ? [target["baggage"]] : [];
  let size = baggage.join().length;
  for (const [name, value] of Object.entries(entries(here))) {
    const entry = `${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
    size += entry.length + 1;
    if (size <= MAX_BYTES) {
      baggage.push(entry);
    }
  }
  if (baggage.length > 0) {
    target["baggage"] = baggage.join(",");
  }
  return headers;
}

/** The trace and span that a request's headers name, as `parentSpanContext` takes it; `undefined` where they name none. */
export function extract(headers: Headers): SpanContext | undefined {
  const header = read(headers, "traceparent");
  const parsed = header === undefined ? null : backend().traceparent(header);
  if (parsed === null) {
    return undefined;
  }
  const { traceId, spanId, sampled } = JSON.parse(parsed) as { traceId: string; spanId: string; sampled?: boolean };
  return { traceId, spanId, traceFlags: sampled === false ? 0 : 1, isRemote: true };
}

/** What the sender propagated `asBaggage`, as `propagateAttributes` takes it. */
export function attributes(headers: Headers): PropagateAttributesParams {
  const header = read(headers, "baggage");
  const found: Record<string, string> = {};
  for (const member of (header ?? "").slice(0, MAX_BYTES).split(",").slice(0, MAX_ENTRIES)) {
    const [name, value] = (member.split(";")[0] as string).split("=", 2);
    if (name !== undefined && value !== undefined) {
      const key = decoded(name.trim());
      if (key.startsWith("langfuse_") && key !== "langfuse_trace_id") {
        found[key] = decoded(value.trim());
      }
    }
  }
  return Object.keys(found).length === 0 ? {} : { _baggage: found };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    tell("baggage: an entry is not percent-encoded; it is taken as it is");
    return text;
  }
}

function read(headers: Headers, name: string): string | undefined {
  return attempt("headers", () => found(headers, name));
}

function found(headers: Headers, name: string): string | undefined {
  if (headers === undefined || headers === null) {
    return undefined;
  }
  if (typeof (headers as { get?: unknown }).get === "function") {
    return (headers as { get(name: string): string | null }).get(name) ?? undefined;
  }
  const plain = headers as Record<string, string | string[] | undefined>;
  const value = plain[name] ?? plain[Object.keys(plain).find((key) => key.toLowerCase() === name) ?? name];
  return Array.isArray(value) ? value[0] : value;
}
