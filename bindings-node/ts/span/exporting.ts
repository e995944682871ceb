/** Spans for an exporter of the application's own instead of the server. Bounded by spans; one export at a time, on timers that keep nothing alive. */
import { END, type Handle, home, shown, tell, unref } from "../internal.js";
import { type Attributes, type Readable } from "./readable.js";
import type { Started } from "./started.js";
import type { Content } from "./text.js";

/** As in OpenTelemetry's batch processor. */
const MOST_WAITING = 2048;
const BATCH = 512;
const INTERVAL = 5000;
const LONGEST_EXPORT = 30_000;

export interface Exporter {
  export(spans: any[], done: (result: { code: number; error?: Error }) => void): void;
  forceFlush?(): Promise<void>;
  shutdown(): Promise<void>;
}

/** What is propagated, as attributes: a record's beginning read back. */
function propagated(record: string): Attributes {
  const keys = JSON.parse(home.backend?.fields() ?? "{}") as Record<string, string>;
  const found: Attributes = {};
  const parts = record.split(END);
  for (let at = 0; at < parts.length - 1; at += 1) {
    let part = parts[at] as string;
    const letter = part.charAt(0);
    let key = keys[letter];
    part = part.slice(1);
    if (letter === "x" || letter === "m") {
      key = `${key}.${part}`;
      at += 1;
      part = parts[at] ?? "";
    }
    const given = part.slice(1);
    let value: unknown = given;
    switch (part.charAt(0)) {
      case "#":
        value = Number(given);
        break;
      case "'":
        value = JSON.parse(given);
        break;
      case "[":
        value = parts.slice(at + 1, at + 1 + Number(given));
        at += Number(given);
        break;
      case "t":
      case "f":
        // They have no end of their own: what follows stands in the same part.
        value = part.charAt(0) === "t";
        parts[at] = given;
        at -= 1;
        break;
      default:
    }
    if (key !== undefined) {
      found[key] = value;
    }
  }
  return found;
}

export class Exporting {
  private waiting: object[] = [];
  private timer: unknown;
  private running: Promise<void> | undefined;
  private lost = 0;

  constructor(
    private readonly exporter: Exporter,
    private readonly batch = BATCH,
    private readonly interval = INTERVAL,
  ) {}

  /** A view of the span with its content as it may leave and what client and scope add. */
  take(handle: Handle, span: Readable, content: Content, started: Started | undefined): void {
    if (this.waiting.length >= MOST_WAITING) {
      this.lost += 1;
      tell("an exporter does not keep up: spans are dropped");
      return;
    }
    const stamps: Attributes = {};
    const { environment, release } = handle.settings;
    if (environment !== null) {
      stamps["langfuse.environment"] = environment;
    }
    if (release !== null) {
      stamps["langfuse.release"] = release;
    }
    if (started !== undefined && started.propagated !== "") {
      Object.assign(stamps, propagated(started.propagated));
    }
    if (started?.appRoot === true) {
      stamps["langfuse.internal.is_app_root"] = true;
    }
    if ("langfuse.observation.prompt.name" in content.attributes) {
      delete stamps["langfuse.observation.prompt.name"];
      delete stamps["langfuse.observation.prompt.version"];
    }
    this.waiting.push(
      Object.create(span, {
        attributes: { value: { ...content.attributes, ...stamps }, enumerable: true },
        events: { value: content.events, enumerable: true },
        links: { value: content.links, enumerable: true },
        status: { value: { ...span.status, message: content.message || undefined }, enumerable: true },
      }),
    );
    if (this.waiting.length >= this.batch) {
      void this.drain();
    } else if (this.timer === undefined) {
      this.timer = setTimeout(() => void this.drain(), this.interval);
      unref(this.timer);
    }
  }

  /** Exports what is there, one batch after the other. Never rejects. */
  drain(): Promise<void> {
    clearTimeout(this.timer as NodeJS.Timeout);
    this.timer = undefined;
    this.running ??= this.run().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  private async run(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, this.batch);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          tell("an exporter did not answer within 30 s");
          resolve();
        }, LONGEST_EXPORT);
        unref(timer);
        try {
          this.exporter.export(batch, (result) => {
            clearTimeout(timer);
            if (result?.code !== 0) {
              tell(`an exporter failed: ${shown(result?.error?.message ?? "no reason given")}`);
            }
            resolve();
          });
        } catch (error) {
          clearTimeout(timer);
          tell(`an exporter failed: ${shown(String(error))}`);
          resolve();
        }
      });
    }
  }

  async shutdown(): Promise<void> {
    await this.drain();
    await this.exporter.shutdown();
  }
}
