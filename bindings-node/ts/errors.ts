/** What was thrown, on an observation. */
import { word } from "./capture.js";
import { masked } from "./mask.js";
import type { Observation } from "./observation.js";
import { END, Letter } from "./record.js";

/** Longest message and stack that are kept. */
const LONGEST = 64 * 1024;

function said(error: unknown, member: "name" | "message" | "stack"): string {
  try {
    const value = (error as Record<string, unknown> | null | undefined)?.[member];
    return typeof value === "string" ? word(value).slice(0, LONGEST) : "";
  } catch {
    return "";
  }
}

/** Records level `ERROR` and what was thrown. */
export function fail(of: Observation, error: unknown): void {
  const isObject = typeof error === "object" && error !== null;
  const type = said(error, "name") || (isObject ? "Error" : typeof error);
  const message = isObject ? said(error, "message") : word(error).slice(0, LONGEST);
  const stack = said(error, "stack");
  if (of.handle.mask === null) {
    of.add(Letter.exception, `${type}${END}${message}${END}${stack}${END}`);
  } else {
    // The message may quote content, and the stack repeats the message.
    masked(of, message, (shown) => of.add(Letter.exception, `${type}${END}${word(shown)}${END}${END}`));
  }
}
