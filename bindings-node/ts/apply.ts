/** What callers say of an observation, captured into its record. What is not usable is told once and left out. */
import { MAX_TEXT, content, scalar, text, word } from "./capture.js";
import { Kind, kindOf } from "./kinds.js";
import { shown, tell } from "./log.js";
import { masked, MASK_FAILED } from "./mask.js";
import type { Observation } from "./observation.js";
import { END, Letter } from "./record.js";

/** A field keeps at least this much of its text when the whole observation is too large, as in the core. */
const KEPT_TEXT = 64 * 1024;

const LEVELS = new Set(["DEBUG", "DEFAULT", "WARNING", "ERROR"]);

/** How much a value of this observation may still take. */
function room(of: Observation): number {
  const left = MAX_TEXT - of.size();
  return left < KEPT_TEXT ? KEPT_TEXT : left;
}

/** Takes everything that was given. */
export function apply(of: Observation, attributes: object): void {
  for (const name in attributes) {
    const value = (attributes as Record<string, unknown>)[name];
    if (value === undefined || value === null) {
      continue;
    }
    switch (name) {
      case "input":
        input(of, value);
        break;
      case "output":
        output(of, value);
        break;
      case "metadata":
        metadata(of, value);
        break;
      case "model":
        of.add(Letter.model, plain(value));
        break;
      case "usageDetails":
        mapping(of, Letter.usageDetails, name, value);
        break;
      case "modelParameters":
        mapping(of, Letter.modelParameters, name, value);
        break;
      case "costDetails":
        mapping(of, Letter.costDetails, name, value);
        break;
      case "level":
        level(of, value);
        break;
      case "statusMessage":
        statusMessage(of, value);
        break;
      case "version":
        of.add(Letter.version, plain(value));
        break;
      case "environment":
        of.add(Letter.environment, plain(value));
        break;
      case "completionStartTime":
        completionStart(of, value);
        break;
      case "prompt":
        prompt(of, value);
        break;
      default:
        tell(`an observation has no attribute ${shown(name)}; it is ignored`);
    }
  }
}

export function input(of: Observation, value: unknown): void {
  if (of.handle.mask === null) {
    of.input = content(value, room(of), of, "input");
    return;
  }
  masked(of, value, (shownValue) => {
    of.input = content(shownValue, room(of), of, "input");
  });
}

export function output(of: Observation, value: unknown): void {
  if (of.handle.mask === null) {
    of.output = content(value, room(of), of, "output");
    return;
  }
  masked(of, value, (shownValue) => {
    of.output = content(shownValue, room(of), of, "output");
  });
}

/** One field for each top-level key; what is no mapping is one field. */
export function metadata(of: Observation, value: unknown): void {
  if (of.handle.mask === null) {
    putMetadata(of, value);
    return;
  }
  masked(of, value, (shownValue) => {
    if (shownValue === MASK_FAILED && isMapping(value)) {
      for (const key of Object.keys(value)) {
        putMetadata(of, { [key]: MASK_FAILED });
      }
    } else {
      putMetadata(of, shownValue);
    }
  });
}

/** The trace's metadata as the client's mask lets it pass. */
export function traceMetadata(of: Observation, value: Record<string, unknown>): void {
  masked(of, value, (shownValue) => {
    const failed = shownValue === MASK_FAILED;
    for (const key of Object.keys(failed || isMapping(shownValue) ? value : {})) {
      const said = scalar(failed ? MASK_FAILED : (shownValue as Record<string, unknown>)[key], room(of), of);
      if (said !== "") {
        of.add(Letter.traceMetadataKey, word(key) + END + said);
      }
    }
  });
}

function isMapping(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) {
    return false;
  }
  const kind = kindOf(value);
  return kind === Kind.Plain || kind === Kind.Fields;
}

function putMetadata(of: Observation, value: unknown): void {
  if (isMapping(value)) {
    for (const key of Object.keys(value)) {
      let member: unknown;
      try {
        member = value[key];
      } catch {
        member = "<unreadable>";
      }
      putKey(of, key, member);
    }
  } else if (value instanceof Map) {
    for (const [key, member] of value) {
      putKey(of, word(key), member);
    }
  } else {
    const said = content(value, room(of), of, "metadata");
    if (said !== "") {
      of.add(Letter.metadata, said);
    }
  }
}

function putKey(of: Observation, key: string, value: unknown): void {
  const said = scalar(value, room(of), of);
  if (said !== "") {
    of.add(Letter.metadataKey, word(key) + END + said);
  }
}

/** A field that is text by nature. */
function plain(value: unknown): string {
  return text(word(value));
}

/** Servers read an object here and silently drop anything else. */
function mapping(of: Observation, letter: string, name: string, value: unknown): void {
  if (isMapping(value)) {
    of.add(letter, content(value, room(of), null, ""));
  } else {
    tell(`${name} ${shown(value)} is no object; it is ignored`);
  }
}

function level(of: Observation, value: unknown): void {
  const said = word(value).toUpperCase();
  if (LEVELS.has(said)) {
    of.add(Letter.level, text(said));
  } else {
    tell(`level ${shown(value)} is none of DEBUG, DEFAULT, WARNING, ERROR; it is ignored`);
  }
}

function statusMessage(of: Observation, value: unknown): void {
  if (of.handle.mask === null) {
    of.add(Letter.statusMessage, plain(value));
    return;
  }
  masked(of, value, (shownValue) => of.add(Letter.statusMessage, plain(shownValue)));
}

function completionStart(of: Observation, value: unknown): void {
  const time = value instanceof Date ? value : new Date(value as string | number);
  if (Number.isNaN(time.getTime())) {
    tell(`completionStartTime ${shown(value)} is no Date; it is ignored`);
  } else {
    // Servers read JSON here, so that even text comes with its quotes.
    of.add(Letter.completionStartTime, `{"${time.toISOString()}"${END}${END}`);
  }
}

function prompt(of: Observation, value: unknown): void {
  const { name, version, isFallback } = value as { name?: unknown; version?: unknown; isFallback?: unknown };
  if (isFallback === true) {
    return;
  }
  const number = typeof version === "string" ? Number(version) : version;
  if (typeof name === "string" && typeof number === "number" && Number.isInteger(number)) {
    of.add(Letter.promptName, text(name));
    of.add(Letter.promptVersion, `#${number}${END}`);
  } else {
    tell("prompt is no { name, version } of a prompt; it is ignored");
  }
}
