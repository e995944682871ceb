/** Spans under way: what was found when they started, by destination and span. Bounded: spans that never end are forgotten. */
import { type Handle, type Scope, around, current, home, look, withoutMetadata } from "../internal.js";
import { type Readable, parentOf } from "./readable.js";

/** Of one destination; beyond, the oldest is forgotten. */
const MOST_STARTED = 8192;
const MOST_DESTINATIONS = 1024;

export interface Started {
  /** The filter says that it will be sent. */
  readonly exported: boolean;
  /** It begins the application's part of its trace. */
  readonly appRoot: boolean;
  /** Its parent is an observation that goes elsewhere. */
  readonly orphan: boolean;
  /** There was no room for the trace that it is in: it is counted as dropped, as what is in it is. */
  readonly refused: boolean;
  /** What is propagated where it started, as a record's beginning. */
  readonly propagated: string;
  /** The metadata in it as it was said, for a mask, which is asked for the rest of the span too; `null` for none. */
  readonly metadata: Record<string, unknown> | null;
}

const tables = new Map<string, Map<string, Started>>();

function put(destination: string, spanId: string, started: Started): void {
  let table = tables.get(destination);
  if (table === undefined) {
    if (tables.size >= MOST_DESTINATIONS) {
      tables.delete(tables.keys().next().value as string);
    }
    tables.set(destination, (table = new Map()));
  }
  if (table.size >= MOST_STARTED) {
    table.delete(table.keys().next().value as string);
  }
  table.set(spanId, started);
}

/** Forgets a span that has ended; what was found when it started. */
export function take(destination: string, spanId: string): Started | undefined {
  const table = tables.get(destination);
  const started = table?.get(spanId);
  table?.delete(spanId);
  if (table?.size === 0) {
    tables.delete(destination);
  }
  return started;
}

// Observations below such a span ask whether it is sent to their server. Other copies of this package may have asked to be asked.
const others = home.exported;
home.exported = (destination, spanId) =>
  tables.get(destination)?.get(spanId)?.exported === true || others?.(destination, spanId) === true;

type Context = Parameters<typeof look>[0];

/** Looks around where a span starts. */
export function remember(handle: Handle, span: Readable, parentContext: unknown, exported: boolean): void {
  const ids = span.spanContext();
  const here = current();
  const context = parentContext as Context | undefined | null;
  const beside = context === undefined || context === null ? around() : look(context);
  let above: Scope = here;
  if (beside?.carried !== undefined && (here.observation === null || beside.carried !== around()?.carried)) {
    above = beside.carried;
  }
  const inside = above.traceId !== "" && above.traceId === ids.traceId;
  const ours = inside && above.recorded && above.destination === handle.destination;
  const parent = parentOf(span);
  const below = parent !== undefined && home.exported?.(handle.destination, parent.spanId) === true;
  const baggage = beside?.baggage ?? "";
  const propagated = baggage === "" ? above.propagated : baggage + above.propagated;
  const metadata = handle.mask === null ? null : above.metadata;
  put(handle.destination, ids.spanId, {
    exported,
    appRoot: exported && !below && !ours && beside?.claimed !== ids.traceId,
    refused: inside && above.refused && above.destination === handle.destination,
    orphan: inside && !ours && parent?.spanId === above.spanId,
    propagated: metadata === null ? propagated : withoutMetadata(propagated),
    metadata,
  });
}
