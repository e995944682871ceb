/** Trace-level attributes for everything that begins inside a function. */
import type { CorePropagation } from "./backend.js";
import { traceMetadata } from "./apply.js";
import { word } from "./capture.js";
import { withoutMetadata } from "./compact.js";
import { backend } from "./handle.js";
import { context } from "./home.js";
import { shown, tell } from "./log.js";
import { enterBaggage } from "./baggage.js";
import { around } from "./otel.js";
import { current } from "./scope.js";

/** A prompt to link observations to. One that is a fallback links to nothing. */
export interface PropagatedPromptInput {
  name: string;
  version: number | string;
  isFallback?: boolean;
}

/** Texts of more than 200 characters are told and left out; tags and metadata add to those around. */
export interface PropagateAttributesParams {
  userId?: string;
  sessionId?: string;
  metadata?: Record<string, string | number | boolean>;
  version?: string;
  tags?: string[];
  traceName?: string;
  /** 1 to 40 of a-z, 0-9, `-` and `_`, not beginning with `langfuse`. */
  environment?: string;
  prompt?: PropagatedPromptInput;
  /** What is said so far also goes into the `baggage` header of requests: readable for whoever gets them. */
  asBaggage?: boolean;
  /** @internal What experiments say, by attribute key. */
  _internalExperiment?: Record<string, unknown>;
  /** @internal What `attributes(headers)` found. */
  _baggage?: Record<string, string>;
}

const TEXTS: Record<string, keyof CorePropagation> = {
  userId: "user_id",
  sessionId: "session_id",
  version: "version",
  traceName: "trace_name",
  environment: "environment",
};

/** The parts of an experiment, by the names of `@langfuse/core`. */
const EXPERIMENT: Record<string, string> = {
  experimentId: "langfuse.experiment.id",
  experimentName: "langfuse.experiment.name",
  experimentDescription: "langfuse.experiment.description",
  experimentMetadata: "langfuse.experiment.metadata",
  experimentDatasetId: "langfuse.experiment.dataset.id",
  experimentItemId: "langfuse.experiment.item.id",
  experimentItemVersion: "langfuse.experiment.item.version",
  experimentItemExpectedOutput: "langfuse.experiment.item.expected_output",
  experimentItemMetadata: "langfuse.experiment.item.metadata",
  experimentItemRootObservationId: "langfuse.experiment.item.root_observation_id",
};

function said(params: PropagateAttributesParams): CorePropagation {
  const all: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(params ?? {})) {
    if (value === undefined || value === null || name === "asBaggage") {
      continue;
    }
    const text = TEXTS[name];
    if (text !== undefined) {
      all[text] = word(value);
    } else if (name === "tags") {
      // Servers read one text as tags with commas between.
      const tags = typeof value === "string" ? value.split(",").map((tag) => tag.trim()) : Array.isArray(value) ? value.map(word) : [];
      all["tags"] = tags.filter((tag) => tag !== "");
    } else if (name === "metadata") {
      all["metadata"] = scalars(value as Record<string, unknown>);
    } else if (name === "prompt") {
      const { name: prompt, version, isFallback } = value as PropagatedPromptInput;
      if (isFallback !== true && Number.isInteger(Number(version))) {
        all["prompt"] = { name: word(prompt), version: Number(version) };
      }
    } else if (name === "_baggage") {
      all["baggage"] = value;
    } else if (name === "_internalExperiment") {
      const found: Record<string, string> = {};
      for (const [part, text] of Object.entries(value as Record<string, unknown>)) {
        if (text !== undefined && text !== null) {
          found[EXPERIMENT[part] ?? part] = typeof text === "string" ? text : JSON.stringify(text);
        }
      }
      all["experiment"] = found;
    } else {
      tell(`propagateAttributes: there is no ${shown(name)}; it is ignored`);
    }
  }
  return all as CorePropagation;
}

function scalars(metadata: Record<string, unknown>): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(metadata)) {
    if (value === undefined || value === null) {
      continue;
    }
    const native = typeof value === "string" || typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value));
    found[key] = native ? value : typeof value === "object" ? JSON.stringify(value) : word(value);
  }
  return found;
}

/**
 * Runs `fn`; every observation that begins inside, and the current one, carry these attributes. Nothing of it leaves the process
 * otherwise, unless `asBaggage` asks for that.
 *
 * @returns What `fn` returns.
 */
export function propagateAttributes<R>(params: PropagateAttributesParams, fn: () => R): R {
  const outer = current();
  const beside = around();
  let record = beside !== null && beside.baggage !== "" ? beside.baggage + outer.propagated : outer.propagated;
  let asBaggage = false;
  let { metadata } = outer;
  try {
    asBaggage = params?.asBaggage === true;
    const own = said(params);
    if (own.metadata !== undefined) {
      metadata = { ...metadata, ...own.metadata };
    }
    const answer = JSON.parse(backend().propagate(record, JSON.stringify(own))) as { record: string; problems: string[] };
    for (const problem of answer.problems) {
      tell(problem);
    }
    record = answer.record;
  } catch (error) {
    tell(`propagateAttributes: the attributes cannot be read: ${shown(String(error))}`);
  }
  const { observation } = outer;
  if (observation !== null && observation.token !== null && record !== outer.propagated) {
    observation.record += observation.handle.mask === null || metadata === null ? record : withoutMetadata(record);
    if (observation.handle.mask !== null && metadata !== null) {
      traceMetadata(observation, metadata);
    }
  }
  const inside = outer.propagating(record, metadata, asBaggage ? record : outer.baggage);
  if (asBaggage && beside !== null) {
    return enterBaggage(inside, fn);
  }
  return context.run(inside, fn);
}
