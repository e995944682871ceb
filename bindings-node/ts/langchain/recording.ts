/** What every run of a handler goes through: it begins below its parent, or at what is current, and is remembered by its id until it ends. */
import { type Client, type Handle, type LangfuseObservationType, type Observation, type SpanContext, begin, context, current, propagateAttributes, resolve } from "../internal.js";
import { part } from "./model.js";
import { type Run, Runs } from "./runs.js";
import { goOn, interrupts, leave, resumes, steers, threadOf } from "./threads.js";

/** What runs, as LangChain serializes it. */
export type Named = { id?: unknown[]; name?: string; kwargs?: unknown } | undefined | null;

type Fields = Record<string, unknown>;

/** A run that begins. */
export interface Beginning {
  runId: string;
  parentRunId: string | undefined;
  name: string;
  type: LangfuseObservationType;
  tags: string[] | undefined;
  metadata: Fields | undefined;
  /** Metadata of the run alone. */
  more?: Fields | undefined;
  /** What a chain is called with. */
  inputs: unknown;
  fields: Fields;
}

/** What a handler says of its traces. */
export interface Defaults {
  userId?: string;
  sessionId?: string;
  tags?: string[];
  version?: string;
  traceMetadata?: Record<string, unknown>;
  client?: Client;
}

/** The tag of runs that are of no interest to readers. */
const HIDDEN = "langsmith:hidden";
/** Metadata that steers the recording; it is not recorded itself. */
const STEERING = new Set(["langfusePrompt", "langfuseUserId", "langfuseSessionId", "langfuseTags", "langfuseTraceName"]);

/** Handlers that were let go of: what they have open will never be heard of. */
const forgotten = new FinalizationRegistry<Runs>((runs) => runs.evict(0, 0));

export class Recording {
  readonly runs = new Runs();
  lastTraceId: string | null = null;
  /** True once there was any: until then nobody needs to look for them. */
  private prompts = false;

  constructor(private readonly defaults: Defaults) {
    forgotten.register(this, this.runs);
  }

  /** Begins a run. One that is heard of twice, by a handler that was registered twice, is the first. */
  start(run: Beginning): Run {
    const known = this.runs.get(run.runId);
    if (known !== undefined) {
      return known;
    }
    const parent = this.runs.get(run.parentRunId);
    const { observation, thread } = parent === undefined ? this.outside(run) : { observation: this.below(parent, run), thread: undefined };
    observation.take(this.said(run));
    if (parent === undefined) {
      this.lastTraceId = observation.traceId;
    }
    const made: Run = {
      id: run.runId,
      observation,
      parent,
      size: observation.size(),
      outside: context.getStore(),
      text: "",
      streams: false,
      interrupted: false,
      thread,
      prompt: undefined,
    };
    this.runs.add(made);
    return made;
  }

  private below(parent: Run, { name, type }: Beginning): Observation {
    const { handle, scope } = parent.observation;
    const make = (): Observation => begin(handle, name, undefined, { asType: type }, scope);
    // What is said of the trace further in holds; where nothing is, what its root said.
    return context.getStore() === parent.outside ? context.run(scope, make) : make();
  }

  /** A run without a parent that is known here goes below what is current, with what is said of the trace. */
  private outside(run: Beginning): { observation: Observation; thread: string | undefined } {
    const { defaults } = this;
    const handle: Handle = defaults.client?.handle ?? resolve();
    const isRoot = run.parentRunId === undefined;
    const thread = isRoot ? threadOf(handle.destination, run.metadata) : undefined;
    const left: SpanContext | undefined = thread !== undefined && resumes(run.inputs) && current().traceId === "" ? goOn(thread) : undefined;
    const make = (): Observation => begin(handle, run.name, undefined, { asType: run.type, parentSpanContext: left });
    const trace = this.ofTrace(run);
    return { observation: trace === undefined ? make() : propagateAttributes(trace, make), thread };
  }

  private ofTrace({ metadata, tags }: Beginning): Fields | undefined {
    const { defaults } = this;
    const text = (key: string, otherwise: string | undefined): string | undefined => {
      const value = part(metadata, key);
      return typeof value === "string" ? value : otherwise;
    };
    const named = part(metadata, "langfuseTags");
    const all = [...(Array.isArray(tags) ? tags : []), ...(Array.isArray(defaults.tags) ? defaults.tags : []), ...(Array.isArray(named) ? (named as string[]) : [])];
    const trace: Fields = {
      userId: text("langfuseUserId", defaults.userId),
      sessionId: text("langfuseSessionId", defaults.sessionId),
      traceName: text("langfuseTraceName", undefined),
      tags: all.length > 0 ? [...new Set(all)] : undefined,
      version: defaults.version,
      metadata: defaults.traceMetadata,
    };
    return Object.values(trace).some((value) => value !== undefined && value !== null) ? trace : undefined;
  }

  /** What a run says of itself. */
  private said({ tags, metadata, more, fields }: Beginning): Fields {
    const said: Fields = { ...more };
    if (Array.isArray(tags) && tags.length > 0) {
      said["tags"] = tags;
    }
    for (const [key, value] of Object.entries(metadata ?? {})) {
      if (!STEERING.has(key)) {
        said[key] = value;
      }
    }
    const hidden = Array.isArray(tags) && tags.includes(HIDDEN);
    return { metadata: said, ...(hidden ? { level: "DEBUG" } : {}), ...fields };
  }

  end(runId: string, fields: Fields): void {
    const run = this.runs.take(runId);
    if (run === undefined) {
      return;
    }
    run.observation.take(fields);
    run.observation.end();
    if (run.interrupted && run.parent === undefined && run.thread !== undefined) {
      leave(run.thread, run.observation);
    }
  }

  /** It ends with what it threw; what LangGraph throws to steer a graph is no error. */
  fail(runId: string, error: unknown, fields: Fields = {}): void {
    const run = this.runs.get(runId);
    if (run === undefined) {
      return;
    }
    const { observation } = run;
    if (steers(error)) {
      const message = part(error, "message");
      observation.take({ level: "DEFAULT", statusMessage: typeof message === "string" && message !== "" ? message : part(error, "name") });
      let root = run;
      while (root.parent !== undefined) {
        root = root.parent;
      }
      if (root === run || interrupts(error)) {
        root.interrupted = true;
      }
      this.end(runId, {});
      return;
    }
    observation.fail(error);
    const details = part(error, "error");
    this.end(runId, { ...fields, ...(typeof details === "object" && details !== null ? { metadata: { error_details: details } } : {}) });
  }

  // ------------------------------------------------------------------------------------------------ prompts

  /** A prompt belongs to the next model on its level, or to one below a sibling that follows it. */
  notePrompt(run: Run, prompt: unknown): void {
    const above = run.parent;
    if (above === undefined) {
      return;
    }
    if (prompt !== undefined && prompt !== null) {
      above.prompt = prompt;
      this.prompts = true;
    } else if (this.prompts && above.prompt !== undefined) {
      run.prompt = above.prompt;
    }
  }

  /** The prompt that a model below this run links to; it is taken by one only. */
  takePrompt(parentRunId: string | undefined): unknown {
    if (!this.prompts) {
      return undefined;
    }
    for (let run = this.runs.get(parentRunId); run !== undefined; run = run.parent) {
      const { prompt } = run;
      if (prompt !== undefined) {
        run.prompt = undefined;
        return prompt;
      }
    }
    return undefined;
  }
}
