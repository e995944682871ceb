/** The client's mask on a span: every text of it except names. The span, which other processors see too, stays as it is. */
import { type Handle, MASK_FAILED, home, isThenable, unref } from "../internal.js";
import type { Attributes } from "./readable.js";
import type { Content } from "./text.js";

/** How long a mask may take to answer, and how many spans may wait for theirs, as for observations. */
const LONGEST = 30_000;
const MOST_HELD = 10_000;

/** Attributes by which servers tell what a span is. They name things; content they are not. */
const NAMES = new Set([
  "langfuse.environment",
  "langfuse.release",
  "langfuse.version",
  "langfuse.observation.completion_start_time",
  "langfuse.observation.cost_details",
  "langfuse.observation.level",
  "langfuse.observation.model.name",
  "langfuse.observation.prompt.name",
  "langfuse.observation.type",
  "langfuse.observation.usage_details",
  "ai.finishReason",
  "ai.model.id",
  "ai.model.provider",
  "ai.operationId",
  "ai.response.finishReason",
  "ai.response.model",
  "ai.response.timestamp",
  "ai.toolCall.name",
  "gen_ai.operation.name",
  "gen_ai.output.type",
  "gen_ai.provider.name",
  "gen_ai.request.model",
  "gen_ai.response.finish_reasons",
  "gen_ai.response.model",
  "gen_ai.system",
  "gen_ai.token.type",
  "gen_ai.tool.name",
  "gen_ai.tool.type",
  "llm.model_name",
  "llm.provider",
  "llm.system",
  "openinference.span.kind",
  "operation.name",
  "traceloop.span.kind",
]);

const METADATA = "langfuse.trace.metadata.";

/** Asks the mask for every text of one span. */
class Masking {
  readonly waiting: Promise<unknown>[] = [];
  failed = 0;

  constructor(private readonly handle: Handle) {}

  ask(data: unknown, put: (value: unknown) => void): void {
    let answer: unknown;
    try {
      answer = (this.handle.mask as (params: { data: unknown }) => unknown)({ data });
    } catch {
      this.fail(put);
      return;
    }
    if (!isThenable(answer)) {
      put(answer);
      return;
    }
    put(MASK_FAILED);
    this.waiting.push(Promise.resolve(answer).then(put, () => this.fail(put)));
  }

  private fail(put: (value: unknown) => void): void {
    this.failed += 1;
    put(MASK_FAILED);
  }

  attributes(given: Attributes | undefined): Attributes {
    const made: Attributes = {};
    for (const key in given) {
      const value = given[key];
      made[key] = value;
      if ((typeof value === "string" || (typeof value === "object" && value !== null)) && !NAMES.has(key)) {
        this.ask(value, (masked) => {
          made[key] = masked;
        });
      }
    }
    return made;
  }

  /** What the scope around it says of the trace, which is shown as a whole. */
  private propagated(metadata: Record<string, unknown>, into: Attributes): void {
    this.ask(metadata, (masked) => {
      const failed = masked === MASK_FAILED;
      const kept = failed ? metadata : typeof masked === "object" && masked !== null ? (masked as Record<string, unknown>) : {};
      for (const key of Object.keys(metadata)) {
        const value = failed ? MASK_FAILED : kept[key];
        if (value === undefined || value === null) {
          delete into[`${METADATA}${key}`];
        } else {
          into[`${METADATA}${key}`] = value;
        }
      }
    });
  }

  content(of: Content, metadata: Record<string, unknown> | null): Content {
    const attributes = this.attributes(of.attributes);
    if (metadata !== null) {
      this.propagated(metadata, attributes);
    }
    const made: Content = {
      attributes,
      events: of.events.map((event) => ({ ...event, name: event.name, time: event.time, attributes: this.attributes(event.attributes) })),
      links: of.links.map((link) => ({ ...link, attributes: this.attributes(link.attributes) })),
      message: of.message,
    };
    if (of.message !== "") {
      this.ask(of.message, (masked) => {
        made.message = typeof masked === "string" ? masked : "";
      });
    }
    return made;
  }
}

/**
 * Hands `content` to `send` as the client's mask leaves it: now, or when a mask that answers with promises has answered.
 *
 * @param metadata What the scope around the span says of its trace, where that is not in what is propagated.
 */
export function masked(handle: Handle, content: Content, metadata: Record<string, unknown> | null, send: (content: Content) => void): void {
  if (handle.mask === null) {
    send(content);
    return;
  }
  const masking = new Masking(handle);
  const made = masking.content(content, metadata);
  const give = (): void => {
    if (masking.failed > 0) {
      handle.backend.maskFailed(handle.id);
    }
    send(made);
  };
  if (masking.waiting.length === 0) {
    give();
    return;
  }
  let over = false;
  const finish = (late: boolean): void => {
    if (!over) {
      over = true;
      clearTimeout(timer);
      home.held.delete(held);
      masking.failed += late ? 1 : 0;
      // What has not answered is there as what stands for it.
      give();
    }
  };
  const settled = Promise.all(masking.waiting).then(() => finish(false));
  const held = { client: handle, settled, giveUp: () => finish(true) };
  const timer = setTimeout(() => finish(true), LONGEST);
  unref(timer);
  if (home.held.size >= MOST_HELD) {
    finish(true);
  } else {
    home.held.add(held);
  }
}
