/** Observations' attributes as attributes of OpenTelemetry's spans, for code that writes such spans itself. */
import {
  type AttributeValue,
  type LangfuseObservationAttributes,
  type LangfuseObservationType,
  type LangfuseTraceAttributes,
  MAX_TEXT,
  asJson,
  tell,
} from "../internal.js";
import { LangfuseOtelSpanAttributes as Key } from "./names.js";

type Attributes = Record<string, AttributeValue | undefined>;

/** Text as it is, anything else as JSON; `undefined` for nothing. */
function asText(value: unknown): string | undefined {
  if (value === undefined || value === null) {
    return undefined;
  }
  return typeof value === "string" ? value : asJson(value, MAX_TEXT);
}

function set(into: Attributes, key: string, value: AttributeValue | undefined): void {
  if (value !== undefined && value !== "") {
    into[key] = value;
  }
}

function flat(into: Attributes, prefix: string, metadata: unknown): void {
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) {
    set(into, prefix, asText(metadata));
    return;
  }
  for (const [key, value] of Object.entries(metadata)) {
    set(into, `${prefix}.${key}`, asText(value));
  }
}

/** What a span of OpenTelemetry carries so that servers read it as such an observation. Values are encoded now; nothing is sent. */
export function createObservationAttributes(type: LangfuseObservationType, attributes: LangfuseObservationAttributes): Attributes {
  const made: Attributes = { [Key.OBSERVATION_TYPE]: type };
  const { prompt, completionStartTime, metadata } = attributes ?? {};
  set(made, Key.OBSERVATION_LEVEL, attributes?.level);
  set(made, Key.OBSERVATION_STATUS_MESSAGE, attributes?.statusMessage);
  set(made, Key.VERSION, attributes?.version);
  set(made, Key.ENVIRONMENT, attributes?.environment);
  set(made, Key.OBSERVATION_INPUT, asText(attributes?.input));
  set(made, Key.OBSERVATION_OUTPUT, asText(attributes?.output));
  set(made, Key.OBSERVATION_MODEL, attributes?.model);
  set(made, Key.OBSERVATION_USAGE_DETAILS, asText(attributes?.usageDetails));
  set(made, Key.OBSERVATION_COST_DETAILS, asText(attributes?.costDetails));
  set(made, Key.OBSERVATION_MODEL_PARAMETERS, asText(attributes?.modelParameters));
  if (completionStartTime instanceof Date && !Number.isNaN(completionStartTime.getTime())) {
    // Servers read JSON here.
    made[Key.OBSERVATION_COMPLETION_START_TIME] = JSON.stringify(completionStartTime);
  } else if (completionStartTime !== undefined) {
    tell("createObservationAttributes: completionStartTime is no Date; it is left out");
  }
  if (prompt !== undefined && prompt !== null && prompt.isFallback !== true) {
    set(made, Key.OBSERVATION_PROMPT_NAME, prompt.name);
    set(made, Key.OBSERVATION_PROMPT_VERSION, prompt.version);
  }
  flat(made, Key.OBSERVATION_METADATA, metadata);
  return made;
}

/** @deprecated A trace's input and output are those of its root. */
export function createTraceAttributes(attributes: LangfuseTraceAttributes = {}): Attributes {
  const made: Attributes = {};
  set(made, Key.TRACE_INPUT, asText(attributes.input));
  set(made, Key.TRACE_OUTPUT, asText(attributes.output));
  return made;
}
