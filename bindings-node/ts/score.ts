/** Scores: numbers, categories, booleans or text about a trace, an observation, a session or a dataset run. Only queued; sent in the background. */
import type { CoreScore } from "./backend.js";
import { word } from "./capture.js";
import { milliseconds } from "./clock.js";
import type { Handle } from "./handle.js";
import { attempt, expect, shown, tell } from "./log.js";
import { isThenable } from "./mask.js";
import type { Observation } from "./observation.js";
import { current } from "./scope.js";

export type ScoreDataType = "NUMERIC" | "CATEGORICAL" | "BOOLEAN" | "TEXT" | "CORRECTION";

/** A score of something that is known already. */
export interface ScoreOf {
  name: string;
  value: number | string | boolean;
  /** One that is sent again under its id replaces. Made here where it is not given. */
  id?: string;
  dataType?: ScoreDataType;
  comment?: string;
  configId?: string;
  metadata?: unknown;
  /** Now where it is not given. */
  timestamp?: Date | number;
  environment?: string;
}

/** A score, and what it is of. */
export interface ScoreBody extends ScoreOf {
  traceId?: string;
  observationId?: string;
  sessionId?: string;
  datasetRunId?: string;
}

/** The core's names. */
const NAMES: Record<string, keyof CoreScore> = {
  id: "id",
  name: "name",
  value: "value",
  dataType: "data_type",
  comment: "comment",
  configId: "config_id",
  environment: "environment",
  traceId: "trace_id",
  observationId: "observation_id",
  sessionId: "session_id",
  datasetRunId: "dataset_run_id",
};

/** Hands a score over. What is wrong with it is told once, and it is not sent; nothing is thrown. */
export function submit(handle: Handle, score: ScoreBody, of?: CoreScore): void {
  attempt("a score", () => {
    if (!handle.enabled) {
      return;
    }
    const body: Record<string, unknown> = { ...of };
    for (const [name, value] of Object.entries(score ?? {})) {
      if (value === undefined || value === null) {
        continue;
      }
      const known = NAMES[name];
      if (known !== undefined) {
        body[known] = known === "value" ? value : word(value);
      } else if (name === "timestamp") {
        body["timestamp"] = milliseconds(value);
      } else if (name === "metadata") {
        body["metadata"] = shownMetadata(handle, value);
      } else {
        tell(`a score has no member ${shown(name)}; it is ignored`);
      }
    }
    const problem = handle.backend.score(handle.id, JSON.stringify(body, plain));
    if (problem !== null) {
      tell(problem);
    }
    expect();
  });
}

/** Through the mask; one that answers later leaves the score without metadata, since scores do not wait. */
function shownMetadata(handle: Handle, value: unknown): unknown {
  if (handle.mask === null) {
    return value;
  }
  try {
    const answer: unknown = handle.mask({ data: value });
    if (!isThenable(answer)) {
      return answer;
    }
    answer.then(undefined, () => undefined);
  } catch {
    // Counted below.
  }
  handle.backend.maskFailed(handle.id);
  return undefined;
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

/** Scores an observation, or its trace. */
export function scoreObservation(of: Observation, score: ScoreOf, wholeTrace: boolean): void {
  submit(of.handle, score, { ...named(of.scope.traceId), ...(wholeTrace ? {} : { observation_id: of.scope.spanId }) });
}

function named(traceId: string): CoreScore {
  return { trace_id: traceId } as CoreScore;
}

/** Scores what is current. */
export function scoreActive(handle: Handle, what: string, score: ScoreOf, wholeTrace: boolean): void {
  const { observation } = current();
  if (observation === null) {
    tell(`${what}: there is no current observation; the score is not sent`);
    return;
  }
  submit(handle, score, { ...named(observation.scope.traceId), ...(wholeTrace ? {} : { observation_id: observation.scope.spanId }) });
}

/** An observation, or anything else with an `otelSpan`. */
export interface Scored {
  otelSpan: { spanContext(): { traceId: string; spanId: string } };
}

/** `client.score`: called, or by the names of `@langfuse/client`. */
export interface ScoreManager {
  (score: ScoreBody): void;
  create(score: ScoreBody): void;
  /** Scores an observation. */
  observation(observation: Scored, score: ScoreOf): void;
  /** Scores an observation's trace. */
  trace(observation: Scored, score: ScoreOf): void;
  /** Scores the current observation. */
  activeObservation(score: ScoreOf): void;
  /** Scores the current trace. */
  activeTrace(score: ScoreOf): void;
  /** Sends what the client has pending, not only scores; see `client.flush`. */
  flush(options?: { timeout?: number }): Promise<void>;
  /** The same. */
  shutdown(options?: { timeout?: number }): Promise<void>;
}

export function scoreManager(handle: Handle, flush: (options?: { timeout?: number }) => Promise<unknown>): ScoreManager {
  const create = (score: ScoreBody): void => submit(handle, score);
  const of = (observation: Scored, score: ScoreOf, wholeTrace: boolean): void => {
    attempt("what is scored", () => {
      const { traceId, spanId } = observation.otelSpan.spanContext();
      submit(handle, score, { ...named(traceId), ...(wholeTrace ? {} : { observation_id: spanId }) });
    });
  };
  const sent = async (options?: { timeout?: number }): Promise<void> => {
    await flush(options);
  };
  return Object.assign((score: ScoreBody): void => create(score), {
    create,
    observation: (observation: Scored, score: ScoreOf): void => of(observation, score, false),
    trace: (observation: Scored, score: ScoreOf): void => of(observation, score, true),
    activeObservation: (score: ScoreOf): void => scoreActive(handle, "score.activeObservation()", score, false),
    activeTrace: (score: ScoreOf): void => scoreActive(handle, "score.activeTrace()", score, true),
    flush: sent,
    shutdown: sent,
  });
}
