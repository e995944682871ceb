/** Attributes by key, as OpenTelemetry's `Span.setAttribute` takes them. */
import { input, metadata, output } from "./apply.js";
import { MAX_TEXT, scalar, text, word } from "./capture.js";
import { attempt } from "./log.js";
import { type Observation, classes } from "./observation.js";
import { END, Letter } from "./record.js";

const METADATA = "langfuse.observation.metadata";
const TRACE_METADATA = "langfuse.trace.metadata";

/** The letters of the fields that are text, by attribute key. */
const TEXT: Record<string, string> = {
  "langfuse.observation.level": Letter.level,
  "langfuse.observation.model.name": Letter.model,
  "langfuse.observation.model.parameters": Letter.modelParameters,
  "langfuse.observation.usage_details": Letter.usageDetails,
  "langfuse.observation.cost_details": Letter.costDetails,
  "langfuse.observation.completion_start_time": Letter.completionStartTime,
  "langfuse.observation.prompt.name": Letter.promptName,
  "langfuse.version": Letter.version,
  "langfuse.environment": Letter.environment,
  "user.id": Letter.userId,
  "session.id": Letter.sessionId,
  "langfuse.trace.name": Letter.traceName,
};

/** Sets the field that a key stands for; any other key becomes metadata. */
export function setAttribute(of: Observation, key: string, value: unknown): void {
  if (!of.isRecording() || value === undefined || value === null) {
    return;
  }
  attempt("an attribute of a span", () => set(of, word(key), value));
}

function set(of: Observation, key: string, value: unknown): void {
  const letter = TEXT[key];
  if (letter !== undefined) {
    of.add(letter, text(word(value)));
    return;
  }
  switch (key) {
    case "langfuse.observation.input":
    case "langfuse.trace.input":
      input(of, value);
      return;
    case "langfuse.observation.output":
    case "langfuse.trace.output":
      output(of, value);
      return;
    case "langfuse.observation.status_message":
      of.take({ statusMessage: value });
      return;
    case "langfuse.observation.type":
      if (Object.hasOwn(classes, word(value))) {
        of.type = value as Observation["type"];
      }
      return;
    case "langfuse.observation.prompt.version":
      if (Number.isInteger(Number(value))) {
        of.add(Letter.promptVersion, `#${Number(value)}${END}`);
      }
      return;
    case "langfuse.trace.public":
      of.add(Letter.tracePublic, value === true || value === "true" ? "t" : "f");
      return;
    case "langfuse.trace.tags": {
      const tags = Array.isArray(value) ? value.map(word) : word(value).split(",");
      of.add(Letter.traceTags, `[${tags.length}${END}${tags.map((tag) => tag.trim() + END).join("")}`);
      return;
    }
    default:
  }
  if (key.startsWith(`${TRACE_METADATA}.`)) {
    of.add(Letter.traceMetadataKey, key.slice(TRACE_METADATA.length + 1) + END + scalar(value, MAX_TEXT, of));
  } else {
    metadata(of, { [key.startsWith(`${METADATA}.`) ? key.slice(METADATA.length + 1) : key]: value });
  }
}
