/**
 * Where interrupted LangGraph threads left off, so that a resumed one goes on in the same trace. Kept for the process, not for a handler:
 * a server makes a handler for each request, and a thread is resumed by another one.
 */
import type { Observation, SpanContext } from "../internal.js";
import { part } from "./model.js";

/** The oldest is forgotten beyond; its thread would go on in a new trace. */
const MOST_THREADS = 1024;

const left = new Map<string, SpanContext>();

/** A graph's thread: of the same destination, since an id says nothing about whose it is. */
export function threadOf(destination: string, metadata: unknown): string | undefined {
  const thread = part(metadata, "thread_id");
  return thread === undefined || thread === null ? undefined : `${destination} ${String(thread)}`;
}

/** Whether a graph is called to go on after an interrupt. */
export function resumes(inputs: unknown): boolean {
  const command = part(inputs, "lg_name") === "Command" ? inputs : part(inputs, "input");
  return part(command, "lg_name") === "Command" && part(command, "resume") !== undefined;
}

/** Notes that a thread was interrupted in an observation. */
export function leave(thread: string, observation: Observation): void {
  left.delete(thread);
  left.set(thread, { traceId: observation.traceId, spanId: observation.id });
  if (left.size > MOST_THREADS) {
    left.delete(left.keys().next().value as string);
  }
}

/** Where a thread goes on; asked for once. */
export function goOn(thread: string): SpanContext | undefined {
  const found = left.get(thread);
  left.delete(thread);
  return found;
}

/** Whether LangGraph threw an error to steer a graph: an interrupt or a handoff, no failure. */
export function steers(error: unknown): boolean {
  return part(error, "is_bubble_up") === true;
}

/** Whether the graph waits for somebody to resume it. */
export function interrupts(error: unknown): boolean {
  const name = part(error, "name");
  return name === "GraphInterrupt" || name === "NodeInterrupt";
}
