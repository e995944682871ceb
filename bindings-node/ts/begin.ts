/** Where an observation begins: which trace, which parent, whether it is recorded. */
import type { LangfuseObservationType, SpanContext } from "./attributes.js";
import { Origin } from "./record.js";
import type { Client } from "./client.js";
import { milliseconds, now } from "./clock.js";
import { type Handle, root } from "./handle.js";
import { home } from "./home.js";
import { isSpanId, isTraceId, spanId as newSpanId, traceId as newTraceId } from "./ids.js";
import { expect, shown, tell } from "./log.js";
import { type Observation, classes } from "./observation.js";
import { type Around, around } from "./otel.js";
import { SCOPE } from "./otelspan.js";
import { Scope, current } from "./scope.js";
import { traceMetadata } from "./apply.js";
import { word } from "./capture.js";
import { withoutMetadata } from "./compact.js";

export interface StartOptions {
  /** What it is; `span` where it is not given. */
  asType?: LangfuseObservationType;
  /** Now where it is not given. */
  startTime?: Date;
  /** A trace, and a parent in it, instead of what is current: of another process, or an observation's `otelSpan.spanContext()`. */
  parentSpanContext?: SpanContext;
  /** The same as a `traceparent` header. */
  traceparent?: string;
  /** The client that it goes to; by default that of what is current. */
  client?: Client;
}


/** Where a new observation stands. */
interface Place {
  origin: string;
  traceId: string;
  /** Empty for none. */
  parentId: string;
  propagated: string;
  metadata: Record<string, unknown> | null;
  baggage: string;
  dropped: boolean;
}

/** See `start`: options that cannot be read are as if they had not been given. */
export function begin(
  given: Handle | null,
  name: string,
  attributes: object | undefined,
  options: StartOptions | undefined,
  below?: Scope,
): Observation {
  try {
    return start(given, name, attributes, options, below);
  } catch (error) {
    tell(`the options of an observation cannot be read: ${shown(error instanceof Error ? error.message : error)}`);
    return start(given, name, attributes, undefined, below);
  }
}

/**
 * Starts an observation. Never throws; where nothing is recorded it has ids all the same, so that what runs inside stays together.
 *
 * @param given The client; `null` for that of what is current.
 * @param below The scope of the observation that is its parent; by default what is current.
 */
function start(
  given: Handle | null,
  name: string,
  attributes: object | undefined,
  options: StartOptions | undefined,
  below: Scope | undefined,
): Observation {
  const store = current();
  let scope = store;
  if (below !== undefined && below !== store) {
    // What is said of the trace here holds for it too, if it is the same trace.
    scope = below.traceId === store.traceId ? below.propagating(store.propagated, store.metadata, store.baggage) : below;
  }
  const client = options?.client;
  const handle = client?.handle ?? given ?? scope.client ?? root();
  let type = options?.asType ?? "span";
  let make = typeof type === "string" ? classes[type] : undefined;
  if (make === undefined) {
    type = known(type);
    make = classes[type];
  }
  let origin: string;
  let traceId: string;
  let parentId = "";
  let { propagated, metadata, baggage } = scope;
  let dropped = false;
  const beside = below === undefined ? around() : null;
  if (beside !== null || options?.parentSpanContext !== undefined || options?.traceparent !== undefined) {
    const place = find(handle, scope, options, beside);
    ({ origin, traceId, parentId, propagated, metadata, baggage, dropped } = place);
  } else if (scope.traceId === "") {
    origin = Origin.Root;
    traceId = newTraceId();
  } else {
    traceId = scope.traceId;
    if (scope.recorded && scope.destination === handle.destination) {
      origin = Origin.Child;
      parentId = scope.spanId;
    } else {
      // A parent that goes elsewhere, or nowhere, will never reach our server.
      origin = Origin.Root;
    }
  }
  const spanId = newSpanId();
  let recorded =
    handle.enabled && !dropped && (handle.keepsAll || (origin === Origin.Child && scope.client === handle) || handle.keeps(traceId));
  let refused = false;
  if (recorded && origin !== Origin.Child && (handle.crowded || scope.refused)) {
    refused = scope.refused && scope.traceId === traceId ? scope.destination === handle.destination : !handle.hasRoom();
    if (refused) {
      recorded = false;
      handle.backend.refused(handle.id, 1);
      expect();
    }
  }
  const own = new Scope(handle, null, traceId, spanId, handle.destination, recorded, propagated, metadata, baggage, refused);
  let began: number | undefined;
  const startTime = options?.startTime;
  if (startTime !== undefined && startTime !== null) {
    began = milliseconds(startTime);
    if (began === undefined) {
      tell(`startTime ${shown(startTime)} is no Date; now is used`);
    }
  }
  began ??= now();
  const head = recorded ? origin + traceId + spanId + parentId : "";
  const observation = new make(type, word(name), handle, own, head, began);
  if (metadata !== null && handle.mask !== null && recorded) {
    observation.record = withoutMetadata(propagated);
    traceMetadata(observation, metadata);
  }
  if (attributes !== undefined) {
    observation.take(attributes);
  }
  if (type === "event") {
    observation.end(began);
  }
  return observation;
}

function known(type: unknown): LangfuseObservationType {
  const lower = word(type).toLowerCase();
  if (Object.hasOwn(classes, lower)) {
    return lower as LangfuseObservationType;
  }
  tell(`asType ${shown(type)} is none of ${Object.keys(classes).join(", ")}; span is used`);
  return "span";
}

/** Where something is said beside our own context. */
function find(handle: Handle, scope: Scope, options: StartOptions | undefined, beside: Around | null): Place {
  const here = beside?.carried !== undefined && scope.observation === null ? beside.carried : scope;
  const propagated = beside !== null && beside.baggage !== "" ? beside.baggage + here.propagated : here.propagated;
  const place: Place = { origin: Origin.Root, traceId: "", parentId: "", propagated, metadata: here.metadata, baggage: here.baggage, dropped: false };
  const asked = asContext(handle, options);
  if (asked !== undefined) {
    const ours = asked[SCOPE] ?? (asked.spanId !== "" && asked.spanId === here.spanId ? here : undefined);
    if (ours !== undefined) {
      below(place, handle, ours);
    } else {
      place.traceId = asked.traceId;
      place.parentId = asked.spanId;
      place.origin = asked.spanId === "" ? Origin.GivenTrace : Origin.GivenParent;
    }
    return place;
  }
  const foreign = beside?.foreign;
  if (foreign === undefined) {
    below(place, handle, here);
    return place;
  }
  const { traceId, spanId, remote, sampled } = foreign;
  place.dropped = !sampled && handle.followParentSampling;
  if (home.exported?.(handle.destination, spanId) === true || (remote && beside?.claimed === traceId)) {
    place.origin = Origin.Child;
    place.traceId = traceId;
    place.parentId = spanId;
  } else if (here.traceId === traceId) {
    // The span is not sent to our server, but it runs inside an observation that is.
    below(place, handle, here);
  } else if (remote) {
    place.origin = Origin.GivenParent;
    place.traceId = traceId;
    place.parentId = spanId;
  } else {
    place.traceId = traceId;
  }
  return place;
}

/** Below an observation, or at the beginning of a trace outside of any. */
function below(place: Place, handle: Handle, scope: Scope): void {
  if (scope.traceId === "") {
    place.traceId = newTraceId();
    return;
  }
  place.traceId = scope.traceId;
  if (scope.recorded && scope.destination === handle.destination) {
    place.origin = Origin.Child;
    place.parentId = scope.spanId;
  }
}

type Asked = { traceId: string; spanId: string; [SCOPE]?: Scope };

/** The trace and parent that a caller names; ids that no server would take are told and left out. */
function asContext(handle: Handle, options: StartOptions | undefined): Asked | undefined {
  const header = options?.traceparent;
  if (typeof header === "string") {
    const parsed = handle.backend.traceparent(header);
    if (parsed !== null) {
      const { traceId, spanId } = JSON.parse(parsed) as Asked;
      return { traceId, spanId };
    }
  }
  const given = options?.parentSpanContext as Asked | undefined;
  if (given === undefined || given === null) {
    return undefined;
  }
  const { traceId, spanId } = given;
  if (!isTraceId(traceId)) {
    tell(`parentSpanContext: traceId ${shown(traceId)} is not 32 hexadecimal digits; it is ignored`);
    return undefined;
  }
  if (spanId !== undefined && (spanId as unknown) !== "" && !isSpanId(spanId)) {
    tell(`parentSpanContext: spanId ${shown(spanId)} is not 16 hexadecimal digits; it is ignored`);
    return { traceId, spanId: "" };
  }
  return { traceId, spanId: spanId ?? "", [SCOPE]: given[SCOPE] };
}
