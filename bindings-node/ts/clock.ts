/** The time of day with fractions of a millisecond, from a clock that does not jump between an observation's start and end. */

/** How often the difference of the two clocks is looked at, and how far apart they may be (milliseconds). */
const EVERY = 1000;
const TOLERANCE = 2;

/** Smaller numbers count from when the process began: as time since 1970 they would be of 1973 or before. */
const SINCE_1970 = 1e11;

let offset = performance.timeOrigin;
let looked = -EVERY;

/** Milliseconds since 1970. */
export function now(): number {
  const monotonic = performance.now();
  if (monotonic - looked > EVERY) {
    looked = monotonic;
    const found = Date.now() - monotonic;
    if (Math.abs(found - offset) > TOLERANCE) {
      offset = found;
    }
  }
  return offset + monotonic;
}

/** A point in time as OpenTelemetry takes it: milliseconds since 1970 or since the process began, a `Date`, or seconds and nanoseconds. */
export type TimeInput = number | Date | [number, number];

/** The same in milliseconds since 1970; `undefined` for what is none. */
export function milliseconds(time: unknown): number | undefined {
  if (typeof time === "number") {
    if (!Number.isFinite(time) || time < 0) {
      return undefined;
    }
    return time < SINCE_1970 ? time + performance.timeOrigin : time;
  }
  if (time instanceof Date) {
    const value = time.getTime();
    return Number.isNaN(value) || value < 0 ? undefined : value;
  }
  if (Array.isArray(time) && time.length === 2 && typeof time[0] === "number" && typeof time[1] === "number") {
    const value = time[0] * 1000 + time[1] / 1e6;
    return Number.isFinite(value) && value >= 0 ? value : undefined;
  }
  return undefined;
}
