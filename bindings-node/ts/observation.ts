/**
 * Observations. While one is open it lives in JavaScript as ids, times and already encoded text; at its end that text crosses into the
 * core, once.
 */
import type {
  AttributesOf,
  LangfuseAgentAttributes,
  LangfuseChainAttributes,
  LangfuseEmbeddingAttributes,
  LangfuseEvaluatorAttributes,
  LangfuseGenerationAttributes,
  LangfuseGuardrailAttributes,
  LangfuseObservationAttributes,
  LangfuseObservationType,
  LangfuseRetrieverAttributes,
  LangfuseSpanAttributes,
  LangfuseToolAttributes,
  LangfuseTraceAttributes,
} from "./attributes.js";
import { apply } from "./apply.js";
import { begin } from "./begin.js";
import { word } from "./capture.js";
import { type TimeInput, milliseconds, now } from "./clock.js";
import { compact } from "./compact.js";
import { fail } from "./errors.js";
import type { Handle, Token } from "./handle.js";
import { attempt, expect, shown, tell, unreadable } from "./log.js";
import type { Held } from "./mask.js";
import { ObservationSpan } from "./otelspan.js";
import { END, Letter } from "./record.js";
import type { Scope } from "./scope.js";
import { type ScoreOf, scoreObservation } from "./score.js";

/** A record that is longer is looked through for fields that were replaced. */
const COMPACT_ABOVE = 256 * 1024;

/** What all observations have. Never throws; after its end it takes nothing more. */
export class Observation {
  /** What it is. */
  type: LangfuseObservationType;
  /** @internal */
  name: string;
  /** @internal A record's beginning: origin and ids. */
  private readonly head: string;
  /** @internal */
  readonly handle: Handle;
  /** @internal What is current inside of it: its ids, and the attributes of the scope that it began in. */
  readonly scope: Scope;
  /** @internal Fields so far, those of the scope first. */
  record: string;
  /** @internal Values without their letters. */
  input = "";
  /** @internal */
  output = "";
  /** @internal Milliseconds since 1970. */
  readonly start: number;
  /** @internal `null` once it has ended, and from the start for one that records nothing. */
  token: Token | null;
  // On the prototype until they are needed: most observations never do.
  /** @internal Masks that have not answered. */
  declare held: Held | null;
  /** @internal */
  declare private facade: ObservationSpan | undefined;
  /** @internal */
  declare private compactAbove: number;

  /** @internal Made by `startObservation` and its kin. */
  constructor(type: LangfuseObservationType, name: string, handle: Handle, scope: Scope, head: string, start: number) {
    this.type = type;
    this.name = name;
    this.handle = handle;
    this.scope = scope;
    this.head = head;
    this.record = scope.propagated;
    this.start = start;
    this.token = scope.recorded ? handle.begun() : null;
    (scope as { observation: Observation }).observation = this;
  }

  /** The observation's id: 16 hexadecimal digits. */
  get id(): string {
    return this.scope.spanId;
  }

  /** Its trace's id: 32 hexadecimal digits. */
  get traceId(): string {
    return this.scope.traceId;
  }

  /** The same as a span of OpenTelemetry, for code that expects one: attributes set on it are recorded. */
  get otelSpan(): ObservationSpan {
    return (this.facade ??= new ObservationSpan(this));
  }

  /** Whether values that are passed now are recorded. */
  isRecording(): boolean {
    return this.token !== null;
  }

  /** The `traceparent` header by which another process continues this trace below this observation. */
  traceparent(): string {
    return `00-${this.scope.traceId}-${this.scope.spanId}-${this.scope.recorded ? "01" : "00"}`;
  }

  /** @internal Characters that it holds. */
  size(): number {
    return this.record.length + this.input.length + this.output.length;
  }

  /** @internal Adds a field. */
  add(letter: string, value: string): void {
    this.record += letter + value;
    if (this.record.length > this.compactAbove) {
      this.record = compact(this.record);
      this.compactAbove = Math.max(COMPACT_ABOVE, 2 * this.record.length);
    }
  }

  /** @internal See `update` of the classes. */
  take(attributes: object | undefined | null): this {
    if (this.token !== null && attributes !== undefined && attributes !== null) {
      try {
        apply(this, attributes);
      } catch (error) {
        unreadable("what an observation is told", error);
      }
    }
    return this;
  }

  /**
   * Ends it and hands it over; it is sent in the background. A second call does nothing.
   *
   * @param endTime Now where it is not given.
   */
  end(endTime?: TimeInput): void {
    const { token } = this;
    if (token === null) {
      return;
    }
    this.token = null;
    token.open.count -= 1;
    let end = endTime === undefined ? now() : milliseconds(endTime);
    if (end === undefined) {
      tell(`end: ${shown(endTime)} is no point in time; now is used`);
      end = now();
    }
    if (this.held !== null && this.held.missing.size > 0) {
      this.held.ended(end);
    } else {
      this.give(end);
    }
  }

  /** @internal Hands it over. */
  give(end: number): void {
    const { handle, start } = this;
    let record = this.head + this.type + END + this.name + END + this.record;
    if (this.input !== "") {
      record += Letter.input + this.input;
    }
    if (this.output !== "") {
      record += Letter.output + this.output;
    }
    this.record = this.input = this.output = "";
    try {
      handle.crowded = !handle.backend.end(handle.id, start, end < start ? start : end, record);
    } catch (error) {
      tell(`an observation cannot be handed over: ${shown(String(error))}`);
    }
    expect();
  }

  /** Records what was thrown: level `ERROR`, and its message as the status message. Does not end it. */
  fail(error: unknown): this {
    if (this.token !== null) {
      attempt("what was thrown", () => fail(this, error));
    }
    return this;
  }

  /** Renames it. */
  updateName(name: string): this {
    this.name = word(name);
    return this;
  }

  /** @internal */
  updateOtelSpanAttributes(attributes: LangfuseObservationAttributes): void {
    this.take(attributes);
  }

  /**
   * The trace's input and output: those of its root, so call it on that one.
   *
   * @deprecated Set `input` and `output` of the root.
   */
  setTraceIO(attributes: LangfuseTraceAttributes): this {
    attempt("a trace's input and output", () => {
      const { input, output } = attributes ?? {};
      this.take({ input, output });
    });
    return this;
  }

  /** Lets everybody with its address see the trace. */
  setTraceAsPublic(): this {
    if (this.token !== null) {
      this.add(Letter.tracePublic, "t");
    }
    return this;
  }

  /** Scores this observation; see `client.score`. */
  score(score: ScoreOf): void {
    scoreObservation(this, score, false);
  }

  /** Scores this observation's trace. */
  scoreTrace(score: ScoreOf): void {
    scoreObservation(this, score, true);
  }

  /** Starts an observation below this one, of the same client. It is not made current. */
  startObservation<T extends LangfuseObservationType = "span">(
    name: string,
    attributes?: AttributesOf[T],
    options?: { asType?: T; startTime?: Date },
  ): ObservationOf[T] {
    return begin(this.handle, name, attributes, options, this.scope) as ObservationOf[T];
  }
}

Object.assign(Observation.prototype, { held: null, facade: undefined, compactAbove: COMPACT_ABOVE });

/** A piece of work of any kind. */
export class LangfuseSpan extends Observation {
  /** Sets attributes, or replaces them; metadata merges by top-level key. */
  update(attributes: LangfuseSpanAttributes): LangfuseSpan {
    return this.take(attributes);
  }
}

/** A call of a language model. */
export class LangfuseGeneration extends Observation {
  /** See `LangfuseSpan.update`. */
  update(attributes: LangfuseGenerationAttributes): LangfuseGeneration {
    return this.take(attributes);
  }
}

/** A call of an embedding model. */
export class LangfuseEmbedding extends Observation {
  /** See `LangfuseSpan.update`. */
  update(attributes: LangfuseEmbeddingAttributes): LangfuseEmbedding {
    return this.take(attributes);
  }
}

/** A run of an agent. */
export class LangfuseAgent extends Observation {
  /** See `LangfuseSpan.update`. */
  update(attributes: LangfuseAgentAttributes): LangfuseAgent {
    return this.take(attributes);
  }
}

/** A call of a tool. */
export class LangfuseTool extends Observation {
  /** See `LangfuseSpan.update`. */
  update(attributes: LangfuseToolAttributes): LangfuseTool {
    return this.take(attributes);
  }
}

/** Several steps, one after the other. */
export class LangfuseChain extends Observation {
  /** See `LangfuseSpan.update`. */
  update(attributes: LangfuseChainAttributes): LangfuseChain {
    return this.take(attributes);
  }
}

/** A look-up of documents. */
export class LangfuseRetriever extends Observation {
  /** See `LangfuseSpan.update`. */
  update(attributes: LangfuseRetrieverAttributes): LangfuseRetriever {
    return this.take(attributes);
  }
}

/** A judgement of an answer. */
export class LangfuseEvaluator extends Observation {
  /** See `LangfuseSpan.update`. */
  update(attributes: LangfuseEvaluatorAttributes): LangfuseEvaluator {
    return this.take(attributes);
  }
}

/** A check of what may pass. */
export class LangfuseGuardrail extends Observation {
  /** See `LangfuseSpan.update`. */
  update(attributes: LangfuseGuardrailAttributes): LangfuseGuardrail {
    return this.take(attributes);
  }
}

/** Something that happened at one point in time: it is over when it begins. */
export class LangfuseEvent extends Observation {}

/** Any observation. */
export type LangfuseObservation =
  | LangfuseSpan
  | LangfuseGeneration
  | LangfuseEvent
  | LangfuseAgent
  | LangfuseTool
  | LangfuseChain
  | LangfuseRetriever
  | LangfuseEvaluator
  | LangfuseGuardrail
  | LangfuseEmbedding;

/** The class of each type. */
export interface ObservationOf {
  span: LangfuseSpan;
  generation: LangfuseGeneration;
  event: LangfuseEvent;
  embedding: LangfuseEmbedding;
  agent: LangfuseAgent;
  tool: LangfuseTool;
  chain: LangfuseChain;
  retriever: LangfuseRetriever;
  evaluator: LangfuseEvaluator;
  guardrail: LangfuseGuardrail;
}

type Class = new (...parts: ConstructorParameters<typeof Observation>) => Observation;

/** Without a prototype: a type may be any word. */
export const classes: Record<LangfuseObservationType, Class> = Object.assign(Object.create(null) as object, {
  span: LangfuseSpan,
  generation: LangfuseGeneration,
  event: LangfuseEvent,
  embedding: LangfuseEmbedding,
  agent: LangfuseAgent,
  tool: LangfuseTool,
  chain: LangfuseChain,
  retriever: LangfuseRetriever,
  evaluator: LangfuseEvaluator,
  guardrail: LangfuseGuardrail,
});
