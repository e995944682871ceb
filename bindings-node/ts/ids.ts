/** Ids as W3C Trace Context has them, from the host's source of random numbers, some hundreds at a time. */
import { randomDigits } from "./host.js";

let digits = "";
let at = 0;

function take(count: number): string {
  if (at + count > digits.length) {
    digits = randomDigits();
    at = 0;
  }
  return digits.slice(at, (at += count));
}

/** 16 lower-case hexadecimal digits. */
export function spanId(): string {
  return take(16);
}

/** 32 lower-case hexadecimal digits. */
export function traceId(): string {
  return take(32);
}

const TRACE = /^[0-9a-f]{32}$/;
const SPAN = /^[0-9a-f]{16}$/;

/** Whether servers take it as a trace's id. */
export function isTraceId(id: unknown): id is string {
  return typeof id === "string" && TRACE.test(id) && id !== "0".repeat(32);
}

/** Whether servers take it as an observation's id. */
export function isSpanId(id: unknown): id is string {
  return typeof id === "string" && SPAN.test(id) && id !== "0".repeat(16);
}
