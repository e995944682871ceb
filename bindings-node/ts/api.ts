/** The functions that applications call, under the names and with the signatures of `@langfuse/tracing`. */
import { runActive } from "./active.js";
import type { AttributesOf, LangfuseObservationType, LangfuseSpanAttributes, LangfuseTraceAttributes } from "./attributes.js";
import { type StartOptions, begin } from "./begin.js";
import type { Client } from "./client.js";
import { type Handle, backend } from "./handle.js";
import { tell } from "./log.js";
import type { LangfuseObservation, Observation, ObservationOf } from "./observation.js";
import { around } from "./otel.js";
import { current } from "./scope.js";

export interface StartObservationOptions {
  /** Now where it is not given. */
  startTime?: Date;
  /** A trace, and a parent in it, instead of what is current. */
  parentSpanContext?: StartOptions["parentSpanContext"];
  /** The same as a `traceparent` header. */
  traceparent?: string;
  /** The client that it goes to; by default that of what is current, the environment's, or the only one. */
  client?: Client;
}

export type StartObservationOpts<T extends LangfuseObservationType = LangfuseObservationType> = StartObservationOptions & { asType?: T };

export type StartActiveObservationContext = StartObservationOptions & {
  /** False: it is current while the function runs, but ended by hand. */
  endOnExit?: boolean;
};

export type StartActiveObservationOpts<T extends LangfuseObservationType = LangfuseObservationType> = StartActiveObservationContext & {
  asType?: T;
};

/**
 * Starts an observation below the current one and does not make it current. End it with `end()`; one that never ends is counted as
 * `never_ended` and not sent. Never throws.
 */
export function startObservation<T extends LangfuseObservationType = "span">(
  name: string,
  attributes?: AttributesOf[T],
  options?: StartObservationOpts<T>,
): ObservationOf[T] {
  return begin(null, name, attributes, options) as ObservationOf[T];
}

/**
 * Runs `fn` with a new observation, which is current for everything inside, also after `await`. It ends when `fn` has returned, or when
 * the promise that it returns settles; what is thrown is recorded and thrown on.
 *
 * @returns What `fn` returns.
 */
export function startActiveObservation<T extends LangfuseObservationType = "span", R = unknown>(
  name: string,
  fn: (observation: ObservationOf[T]) => R,
  options?: StartActiveObservationOpts<T>,
): R {
  return startActive(null, name, fn, options);
}

/** The same on a client. */
export function startActive<R>(
  handle: Handle | null,
  name: string,
  fn: (observation: never) => R,
  options: StartActiveObservationOpts | undefined,
): R {
  const observation = begin(handle, name, undefined, options);
  return runActive(observation, fn, options?.endOnExit !== false);
}

function active(what: string): Observation | null {
  const { observation } = current();
  if (observation === null) {
    tell(`${what}: there is no current observation; nothing is recorded`);
  }
  return observation;
}

/** Sets attributes of the current observation; `asType` changes nothing here, it tells TypeScript which attributes there are. */
export function updateActiveObservation<T extends LangfuseObservationType = "span">(
  attributes: T extends "span" ? LangfuseSpanAttributes : AttributesOf[T],
  _options?: { asType: T },
): void {
  active("updateActiveObservation()")?.take(attributes);
}

/** @deprecated Set `input` and `output` of the root. */
export function setActiveTraceIO(attributes: LangfuseTraceAttributes): void {
  active("setActiveTraceIO()")?.setTraceIO(attributes);
}

/** Lets everybody with its address see the current trace. */
export function setActiveTraceAsPublic(): void {
  active("setActiveTraceAsPublic()")?.setTraceAsPublic();
}

/** The current observation, `undefined` outside of any. */
export function getActiveObservation(): LangfuseObservation | undefined {
  return (current().observation ?? undefined) as LangfuseObservation | undefined;
}

function ids(): { traceId: string; spanId: string } | undefined {
  const beside = around();
  const here = current();
  return beside?.foreign ?? (here.traceId !== "" ? here : beside?.carried);
}

/** The current trace's id, also of a span of OpenTelemetry; `undefined` outside of any. */
export function getActiveTraceId(): string | undefined {
  return ids()?.traceId;
}

/** The current observation's or span's id. */
export function getActiveSpanId(): string | undefined {
  return ids()?.spanId;
}

/** A trace id of 32 hexadecimal digits: random, or the one that a seed stands for (the same as that of the Langfuse SDKs). */
export async function createTraceId(seed?: string): Promise<string> {
  return backend().traceId(seed);
}
