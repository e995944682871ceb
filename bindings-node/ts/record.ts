/**
 * An observation as text, the one thing of it that crosses into the core.
 *
 * A record is a head and fields; the head is written last, because name and type may change until then. Text ends with
 * `END` (U+001F) and so must not hold one; what does is written as JSON. The core's `record.rs` reads it and is where each letter is defined; a test compares the two.
 *
 *     head    = origin trace-id(32 hex) span-id(16 hex) [parent-id(16 hex)] type END name END
 *     origin  = "0" begins a trace | "1" has a parent, whose id follows
 *             | "2" was given a trace and a parent in it | "3" was given a trace only
 *     field   = letter value | ("m" | "x") key END value | "!" type END message END stack END
 *     value   = '"' text END            text, as it is
 *             | "'" json-string END     text, as a JSON string: for text that holds an END
 *             | "{" json END END        JSON; inside it, END text END stands for a string, not empty, not yet escaped
 *             | "#" number END          an integer, or a number
 *             | "t" | "f"               a boolean
 *             | "[" count END (text END)*
 *
 * A field that comes again replaces; the fields of the scope come first.
 */
export const END = "\x1f";

export const Origin = { Root: "0", Child: "1", GivenParent: "2", GivenTrace: "3" } as const;

/** The letters of the fields, by the names that the core gives them. */
export const Letter = {
  input: "i",
  output: "o",
  /** Metadata that is no mapping. */
  metadata: "d",
  /** One top-level key of the metadata: key, then value. */
  metadataKey: "m",
  level: "l",
  statusMessage: "s",
  model: "M",
  modelParameters: "P",
  usageDetails: "u",
  costDetails: "c",
  completionStartTime: "C",
  promptName: "p",
  promptVersion: "q",
  version: "v",
  environment: "e",
  userId: "U",
  sessionId: "S",
  traceName: "N",
  traceTags: "T",
  tracePublic: "B",
  /** One key of the trace's metadata: key, then value. */
  traceMetadataKey: "x",
  /** What was raised: type, message, stack. */
  exception: "!",
} as const;
