/** The open runs of a handler, bounded whatever LangChain forgets to end. */
import { type Observation, type Scope, home, tell } from "../internal.js";

/** More runs than a busy server has under way: runs that never end must not take the room of those that do. */
export const MAX_RUNS = 10_000;
/** Characters of what they were asked. */
export const MAX_SIZE = 8 * 1024 * 1024;

/** One open run, and what is noted on it. */
export interface Run {
  readonly id: string;
  readonly observation: Observation;
  readonly parent: Run | undefined;
  readonly size: number;
  /** What was current where it began. */
  readonly outside: Scope | undefined;
  /** What has been streamed. */
  text: string;
  streams: boolean;
  /** It waits to be resumed. */
  interrupted: boolean;
  /** The graph's thread that it belongs to. */
  readonly thread: string | undefined;
  /** The prompt that the next model below it links to. */
  prompt: unknown;
}

export class Runs {
  private readonly open = new Map<string, Run>();
  private size = 0;
  /** Runs that had to be ended because more was open than may be. */
  evicted = 0;

  constructor(
    private readonly most = MAX_RUNS,
    private readonly mostSize = MAX_SIZE,
  ) {}

  get count(): number {
    return this.open.size;
  }

  get(id: string | undefined): Run | undefined {
    return id === undefined ? undefined : this.open.get(id);
  }

  add(run: Run): void {
    this.open.set(run.id, run);
    this.size += run.size;
    if (this.open.size > this.most || this.size > this.mostSize) {
      const before = this.evicted;
      // Until a sixteenth of the room is free.
      this.evict((this.most * 15) / 16, (this.mostSize * 15) / 16);
      tell(
        `${this.evicted - before} LangChain runs were ended unseen: more than ${this.most} of them or ${this.mostSize} characters were open, so their ends seem to be lost`,
      );
    }
  }

  take(id: string): Run | undefined {
    const run = this.open.get(id);
    if (run !== undefined) {
      this.open.delete(id);
      this.size -= run.size;
    }
    return run;
  }

  /** Ends the oldest until no more than this is open. */
  evict(most: number, size: number): void {
    for (const [id, run] of this.open) {
      if (this.open.size <= most && this.size <= size) {
        return;
      }
      this.take(id);
      this.evicted += 1;
      run.observation.take({ level: "WARNING", statusMessage: "the end of this run was never reported" });
      run.observation.end();
    }
  }
}

/** LangChain's own context, where it has one: the configuration of the run whose code runs. */
const CONTEXT = Symbol.for("ls:tracing_async_local_storage");
const CONFIGURATION = Symbol.for("lc:child_config");
/** Marks our handlers, whichever copy of this package made them. */
export const RUNS = Symbol.for("tracespool.langchain.runs");

interface Configuration {
  callbacks?: { getParentRunId?(): string | undefined; handlers?: { [RUNS]?: Runs }[] };
}

/** The scope of the run whose code runs here, unless something nearer is current. */
function nearer(store: Scope | undefined): Scope | undefined {
  const langchain = (globalThis as Record<symbol, unknown>)[CONTEXT] as { getStore?(): { extra?: Record<symbol, Configuration> } } | undefined;
  const callbacks = langchain?.getStore?.()?.extra?.[CONFIGURATION]?.callbacks;
  const id = callbacks?.getParentRunId?.();
  if (id === undefined || !Array.isArray(callbacks?.handlers)) {
    return undefined;
  }
  for (const handler of callbacks.handlers) {
    const run = handler[RUNS]?.get(id);
    if (run !== undefined) {
      return run.outside === store ? run.observation.scope : undefined;
    }
  }
  return undefined;
}

/** From now on what the code of runs traces goes below them. */
export function joinContext(): void {
  home.nearer ??= (store) => {
    try {
      return nearer(store);
    } catch {
      // A context of another shape: what is current here is what is known.
      return undefined;
    }
  };
}
