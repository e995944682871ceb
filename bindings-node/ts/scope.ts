/** Where code runs: what is current there. Scopes never change; entering something makes another one. */
import { context, home } from "./home.js";
import type { Handle } from "./handle.js";
import type { Observation } from "./observation.js";

export class Scope {
  constructor(
    /** The client of calls that name none; `null` where that is still open. */
    readonly client: Handle | null,
    /** The observation that new ones go below; `null` outside of any. */
    readonly observation: Observation | null,
    /** Its ids, empty outside of any. */
    readonly traceId: string,
    readonly spanId: string,
    /** Where it goes. */
    readonly destination: string,
    /** False where it is not sent: sampled out, of a client that is switched off, or refused. */
    readonly recorded: boolean,
    /** Trace-level attributes of the scope, as a record's beginning. */
    readonly propagated: string,
    /** The metadata among them as it was said, for a mask; `null` for none. */
    readonly metadata: Record<string, unknown> | null,
    /** Those of them that also leave the process as baggage, as a record's beginning. */
    readonly baggage: string,
    /** There was no room for its trace when that began: it is counted as dropped, and so is what runs inside. */
    readonly refused = false,
  ) {}

  /** The same with other trace-level attributes. */
  propagating(propagated: string, metadata: Record<string, unknown> | null, baggage: string): Scope {
    const { client, observation, traceId, spanId, destination, recorded, refused } = this;
    return new Scope(client, observation, traceId, spanId, destination, recorded, propagated, metadata, baggage, refused);
  }

  /** The same with another client. */
  using(client: Handle): Scope {
    const { observation, traceId, spanId, destination, recorded, propagated, metadata, baggage, refused } = this;
    return new Scope(client, observation, traceId, spanId, destination, recorded, propagated, metadata, baggage, refused);
  }
}

export const OUTSIDE = new Scope(null, null, "", "", "", false, "", null, "");

/** What is current here. */
export function current(): Scope {
  const store = context.getStore();
  const { nearer } = home;
  return (nearer === undefined ? store : (nearer(store) ?? store)) ?? OUTSIDE;
}
