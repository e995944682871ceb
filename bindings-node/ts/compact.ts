/** Takes replaced fields out of a record, so that updating one field in a loop is bounded. */
import { END, Letter } from "./record.js";

/** Metadata keys that are kept, as in the core. */
const MOST_KEYS = 1024;

/** Where the value that begins at `at` ends. */
function endOfValue(record: string, at: number): number {
  switch (record[at]) {
    case "t":
    case "f":
      return at + 1;
    case "{":
      // A text inside JSON is never empty: two marks in a row are the end.
      return past(record, END + END, at + 1);
    case "[": {
      let end = past(record, END, at + 1);
      for (let count = Number(record.slice(at + 1, end - 1)); count > 0; count -= 1) {
        end = past(record, END, end);
      }
      return end;
    }
    default:
      return past(record, END, at + 1);
  }
}

function past(record: string, mark: string, from: number): number {
  const found = record.indexOf(mark, from);
  return found < 0 ? record.length : found + mark.length;
}

/** The fields of a record without a head, each where it was set last. */
export function compact(record: string): string {
  return [...fields(record).values()].join("");
}

/** The same without the trace's metadata. */
export function withoutMetadata(record: string): string {
  return [...fields(record).values()].filter((field) => !field.startsWith(Letter.traceMetadataKey)).join("");
}

/** By letter, and key. */
function fields(record: string): Map<string, string> {
  let at = 0;
  const found = new Map<string, string>();
  while (at < record.length) {
    const from = at;
    const letter = record[at] as string;
    let name = letter;
    at += 1;
    if (letter === Letter.metadataKey || letter === Letter.traceMetadataKey) {
      at = past(record, END, at);
      name = record.slice(from, at);
    }
    if (letter === Letter.exception) {
      at = past(record, END, past(record, END, past(record, END, at)));
    } else {
      at = endOfValue(record, at);
    }
    // Deleted first, so that it stands where it was set last.
    found.delete(name);
    if (letter !== Letter.metadataKey || found.size < MOST_KEYS) {
      found.set(name, record.slice(from, at));
    }
  }
  return found;
}
