/** What leaves the process as W3C baggage, where that is asked for. */
import { home, context } from "./home.js";
import { BAGGAGE_KEY, manager } from "./otel.js";
import type { Scope } from "./scope.js";

/** The entries of a scope's baggage by name; empty where nothing was said `asBaggage`. */
export function entries(scope: Scope): Record<string, string> {
  if (scope.baggage === "" || home.backend === undefined) {
    return {};
  }
  const found = JSON.parse(home.backend.baggage(scope.baggage)) as Record<string, string>;
  if (scope.traceId !== "") {
    // So that the other process does not take its part for a trace of its own.
    found["langfuse_trace_id"] = scope.traceId;
  }
  return found;
}

/** OpenTelemetry's `Baggage`, of which its propagators ask `getAllEntries`. */
class Entries {
  constructor(private readonly all: Map<string, { value: string }>) {}
  getEntry(key: string): { value: string } | undefined {
    return this.all.get(key);
  }
  getAllEntries(): [string, { value: string }][] {
    return [...this.all.entries()];
  }
  setEntry(key: string, entry: { value: string }): Entries {
    return new Entries(new Map(this.all).set(key, entry));
  }
  removeEntry(key: string): Entries {
    return this.removeEntries(key);
  }
  removeEntries(...keys: string[]): Entries {
    const rest = new Map(this.all);
    for (const key of keys) {
      rest.delete(key);
    }
    return new Entries(rest);
  }
  clear(): Entries {
    return new Entries(new Map());
  }
}

/** Runs `fn` inside the scope, with its baggage in OpenTelemetry's context too. */
export function enterBaggage<R>(scope: Scope, fn: () => R): R {
  const found = manager();
  if (found === undefined) {
    return context.run(scope, fn);
  }
  const active = found.active();
  const outer = active.getValue(BAGGAGE_KEY) as { getAllEntries(): [string, { value: string }][] } | undefined;
  const all = new Map(outer?.getAllEntries() ?? []);
  for (const [name, value] of Object.entries(entries(scope))) {
    all.set(name, { value });
  }
  return found.with(active.setValue(BAGGAGE_KEY, new Entries(all)), () => context.run(scope, fn), undefined, undefined);
}
