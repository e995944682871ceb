/** `CallbackHandler` for LangChain and LangGraph. */
import { type Client, tell } from "../internal.js";
import { type Named, Recording } from "./recording.js";
import { asked, answered, shown, typeOf } from "./message.js";
import { nameOf, parameters, part, readAnswer } from "./model.js";
import { RUNS, joinContext } from "./runs.js";

/** What is said of every trace of a handler; a root run's metadata may say it of one. */
export interface CallbackHandlerParams {
  userId?: string;
  sessionId?: string;
  tags?: string[];
  version?: string;
  traceMetadata?: Record<string, unknown>;
  /** The client that runs go to; by default that of what is current where a root run starts. */
  client?: Client;
}

type Fields = Record<string, unknown>;

/** Characters of a streamed answer that are kept for the case that it fails. */
const MAX_TEXT = 1024 * 1024;

/**
 * Records the runs of LangChain and LangGraph as observations. One handler serves a whole process, or each request makes its own: none
 * has a timer, a connection or a queue. Runs find their parents by LangChain's run ids, so that parallel ones may interleave; what the
 * code of a run traces goes below it. Never throws and never waits: all work is done when an event occurs.
 *
 * `last_trace_id` is the trace of the last root run. `evictedRuns` counts runs whose end LangChain never reported: the oldest are ended
 * with level WARNING where more than 10,000 or 8 Mi characters of them are open.
 */
export class CallbackHandler {
  // What LangChain's `BaseCallbackHandler` has: its classes are not needed for it.
  readonly name: string = "TracespoolCallbackHandler";
  lc_serializable = false;
  lc_kwargs: Fields = {};
  ignoreLLM = false;
  ignoreChain = false;
  ignoreAgent = false;
  ignoreRetriever = false;
  ignoreCustomEvent = true;
  raiseError = false;
  /** Events are handled where they occur: waiting for nothing, and in their order. */
  awaitHandlers = true;

  private readonly recording: Recording;

  constructor(params: CallbackHandlerParams = {}) {
    this.recording = new Recording(params ?? {});
    joinContext();
  }

  /** @internal */
  get [RUNS](): Recording["runs"] {
    return this.recording.runs;
  }

  get last_trace_id(): string | null {
    return this.recording.lastTraceId;
  }

  /** Runs that were ended because their own end was never reported. */
  get evictedRuns(): number {
    return this.recording.runs.evicted;
  }

  get lc_namespace(): ["langchain_core", "callbacks", string] {
    return ["langchain_core", "callbacks", this.name];
  }

  get lc_secrets(): undefined {
    return undefined;
  }

  get lc_attributes(): undefined {
    return undefined;
  }

  get lc_aliases(): undefined {
    return undefined;
  }

  get lc_serializable_keys(): undefined {
    return undefined;
  }

  get lc_id(): string[] {
    return [...this.lc_namespace, "CallbackHandler"];
  }

  /** Runs are found by their ids: a copy would be the same handler. */
  copy(): this {
    return this;
  }

  toJSON(): { lc: number; type: "not_implemented"; id: string[] } {
    return this.toJSONNotImplemented();
  }

  toJSONNotImplemented(): { lc: number; type: "not_implemented"; id: string[] } {
    return { lc: 1, type: "not_implemented", id: this.lc_id };
  }

  // ------------------------------------------------------------------------------------------------ chains

  handleChainStart(chain: Named, inputs: unknown, runId: string, parentRunId?: string, tags?: string[], metadata?: Fields, _runType?: string, runName?: string): void {
    this.spared("the start of a run", () => {
      const name = title(chain, runName);
      const run = this.recording.start({ runId, parentRunId, name, type: isAgent(name, chain) ? "agent" : "chain", tags, metadata, inputs, fields: { input: asked(inputs) } });
      this.recording.notePrompt(run, part(metadata, "langfusePrompt"));
    });
  }

  handleChainEnd(outputs: unknown, runId: string, _parentRunId?: string, _tags?: string[], kwargs?: { inputs?: unknown }): void {
    this.spared("the end of a run", () => {
      // A streamed chain knows its whole input only now.
      const input = kwargs?.inputs;
      this.recording.end(runId, { output: answered(outputs), ...(isEmpty(input) ? {} : { input: asked(input) }) });
    });
  }

  handleChainError(error: unknown, runId: string): void {
    this.spared("the end of a run", () => this.recording.fail(runId, error));
  }

  /** A chain turns out to be an agent. */
  handleAgentAction(action: unknown, runId: string): void {
    this.spared("an action of an agent", () => {
      const run = this.recording.runs.get(runId);
      if (run !== undefined) {
        run.observation.type = "agent";
        run.observation.take({ output: shown(action) });
      }
    });
  }

  handleAgentEnd(action: unknown, runId: string): void {
    this.handleAgentAction(action, runId);
  }

  // ------------------------------------------------------------------------------------------------ models

  handleChatModelStart(llm: Named, messages: unknown[][], runId: string, parentRunId?: string, extraParams?: Fields, tags?: string[], metadata?: Fields, runName?: string): void {
    this.spared("the start of a run", () => this.ask(llm, shown(messages.flat()), runId, parentRunId, extraParams, tags, metadata, runName));
  }

  handleLLMStart(llm: Named, prompts: string[], runId: string, parentRunId?: string, extraParams?: Fields, tags?: string[], metadata?: Fields, runName?: string): void {
    this.spared("the start of a run", () => this.ask(llm, prompts.length === 1 ? prompts[0] : prompts, runId, parentRunId, extraParams, tags, metadata, runName));
  }

  private ask(llm: Named, input: unknown, runId: string, parentRunId: string | undefined, extraParams: Fields | undefined, tags?: string[], metadata?: Fields, runName?: string): void {
    const called = part(extraParams, "invocation_params");
    const [tools, choice] = [part(called, "tools"), part(called, "tool_choice")];
    const offered = Array.isArray(tools) && tools.length > 0;
    const fields = {
      input: offered || choice !== undefined ? { messages: input, ...(offered ? { tools } : {}), ...(choice === undefined ? {} : { tool_choice: choice }) } : input,
      model: nameOf(llm, metadata, called),
      modelParameters: parameters(called),
      prompt: this.recording.takePrompt(parentRunId) ?? part(metadata, "langfusePrompt"),
    };
    this.recording.start({ runId, parentRunId, name: title(llm, runName), type: "generation", tags, metadata, inputs: undefined, fields });
  }

  /** The first token tells when the answer began. */
  handleLLMNewToken(token: string, _index: unknown, runId: string): void {
    this.spared("a token", () => {
      const run = this.recording.runs.get(runId);
      if (run === undefined) {
        return;
      }
      if (!run.streams) {
        run.streams = true;
        run.observation.take({ completionStartTime: new Date() });
      }
      if (typeof token === "string" && run.text.length < MAX_TEXT) {
        run.text += token;
      }
    });
  }

  /** The same for models that stream by events. */
  handleChatModelStreamEvent(event: unknown, runId: string): void {
    const kind = part(event, "event") ?? part(event, "type");
    if (kind !== "message-start") {
      const delta = part(event, "delta");
      const text = part(delta, "text");
      this.handleLLMNewToken(typeof text === "string" ? text : "", undefined, runId);
    }
  }

  handleLLMEnd(result: unknown, runId: string): void {
    this.spared("the end of a run", () => {
      let fields: Fields = {};
      this.spared("the answer of a model", () => {
        const { generation, model, usage } = readAnswer(result);
        const message = part(generation, "message");
        fields = { output: message === undefined || message === null ? part(generation, "text") : shown(message), model, usageDetails: usage };
      });
      this.recording.end(runId, fields);
    });
  }

  handleLLMError(error: unknown, runId: string): void {
    this.spared("the end of a run", () => {
      const text = this.recording.runs.get(runId)?.text;
      // What it had said until then was paid for.
      this.recording.fail(runId, error, text ? { output: text } : { costDetails: { total: 0 } });
    });
  }

  // ------------------------------------------------------------------------------------------------ tools and retrievers

  handleToolStart(tool: Named, input: string, runId: string, parentRunId?: string, tags?: string[], metadata?: Fields, runName?: string, toolCallId?: string): void {
    this.spared("the start of a run", () => {
      const more = toolCallId === undefined ? undefined : { tool_call_id: toolCallId };
      this.recording.start({ runId, parentRunId, name: title(tool, runName), type: "tool", tags, metadata, more, inputs: undefined, fields: { input } });
    });
  }

  /** An answer that says it is an error is one. */
  handleToolEnd(output: unknown, runId: string): void {
    this.spared("the end of a run", () => {
      const failed = part(output, "status") === "error" && typeOf(output) === "tool";
      const content = part(output, "content");
      const statusMessage = typeof content === "string" ? content : JSON.stringify(content);
      this.recording.end(runId, { output: shown(output), ...(failed ? { level: "ERROR", statusMessage } : {}) });
    });
  }

  handleToolError(error: unknown, runId: string): void {
    this.handleChainError(error, runId);
  }

  handleRetrieverStart(retriever: Named, query: string, runId: string, parentRunId?: string, tags?: string[], metadata?: Fields, runName?: string): void {
    this.spared("the start of a run", () => {
      this.recording.start({ runId, parentRunId, name: title(retriever, runName), type: "retriever", tags, metadata, inputs: undefined, fields: { input: query } });
    });
  }

  handleRetrieverEnd(documents: unknown, runId: string): void {
    this.spared("the end of a run", () => this.recording.end(runId, { output: documents }));
  }

  handleRetrieverError(error: unknown, runId: string): void {
    this.handleChainError(error, runId);
  }

  /** What cannot be recorded is told, and LangChain goes on. */
  private spared(what: string, record: () => unknown): void {
    try {
      record();
    } catch (error) {
      tell(`LangChain: ${what} cannot be recorded: ${String(error)}`);
    }
  }
}

/** What a run is called: as it is told, else as what runs is. */
function title(of: Named, runName: string | undefined): string {
  const id = of?.id;
  return runName ?? of?.name ?? (Array.isArray(id) && id.length > 0 ? String(id.at(-1)) : "<unknown>");
}

/** Whether the name or the class's path has the word "agent" in it. */
function isAgent(name: string, of: Named): boolean {
  return /agent/i.test(name) || (Array.isArray(of?.id) && of.id.some((part) => /agent/i.test(String(part))));
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || (typeof value === "object" && Object.keys(value).length === 0);
}

