/** Spans of other instrumentation into one client. */
import { Client, type Handle, type MaskFunction, expect, shown, tell, variable } from "../internal.js";
import { Exporting, type Exporter } from "./exporting.js";
import { isDefaultExportSpan } from "./filter.js";
import { masked } from "./masking.js";
import { withoutMedia } from "./media.js";
import type { Readable } from "./readable.js";
import { remember, take } from "./started.js";
import { contentOf, envelopeOf, textOf } from "./text.js";
/** @ts-ignore: without OpenTelemetry's SDK this is any. */
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base";

/** Whether a span is sent. Asked when it starts, when not all is known, and when it has ended, which counts. */
export type ShouldExportSpan = (params: { otelSpan: ReadableSpan }) => boolean;

/** What is not given comes from the environment (`LANGFUSE_*`), then from the default. */
export interface LangfuseSpanProcessorParams {
  /** The client that spans go to, instead of one of the options below. */
  client?: Client;
  publicKey?: string;
  secretKey?: string;
  baseUrl?: string;
  /** Spans that make a request due at once. */
  flushAt?: number;
  /** How long spans wait for company, in seconds; 5 by default. */
  flushInterval?: number;
  /** Of one request, in seconds; 5 by default. */
  timeout?: number;
  /**
   * Sees every text of a span before it leaves, except names: attributes (`gen_ai.*` and all others), events', links', the status
   * message. The span itself stays as it is.
   */
  mask?: MaskFunction;
  /** `isDefaultExportSpan` by default. One that throws drops the span, which is counted. */
  shouldExportSpan?: ShouldExportSpan;
  environment?: string;
  release?: string;
  /** False leaves media in attributes as text. */
  mediaUploadEnabled?: boolean;
  additionalHeaders?: Record<string, string>;
  /** `immediate`: each span makes a request due at once. The export thread sends it; nothing waits. */
  exportMode?: "immediate" | "batched";
  /** Gets the spans instead of the server, masked and stamped: 2,048 may wait for it. */
  exporter?: SpanExporter;
}

const CLIENT_OPTIONS = [
  "publicKey",
  "secretKey",
  "baseUrl",
  "flushAt",
  "flushInterval",
  "timeout",
  "mask",
  "environment",
  "release",
  "mediaUploadEnabled",
  "additionalHeaders",
] as const;

function clientOf(params: LangfuseSpanProcessorParams): Client {
  if (params.client?.handle !== undefined) {
    return params.client;
  }
  if (params.client !== undefined) {
    tell("the option client is no Client; it is ignored");
  }
  const options: Record<string, unknown> = {};
  for (const name of CLIENT_OPTIONS) {
    if (params[name] !== undefined) {
      options[name] = params[name];
    }
  }
  if (params.exportMode === "immediate") {
    options["flushAt"] = 1;
  }
  if (params.exporter !== undefined && params.publicKey === undefined && variable("LANGFUSE_PUBLIC_KEY") === undefined) {
    // Nothing goes to a server, so that no keys are missed.
    options["tracingEnabled"] = false;
  }
  return new Client(options);
}

/** How long a provider's end may take, in milliseconds. */
const SHUTDOWN = 3000;

/**
 * Sends finished spans to one client, and to no other: `new NodeTracerProvider({ spanProcessors: [new TracespoolSpanProcessor()] })`.
 *
 * A span arrives as its instrumentation made it: ids, times, attributes, events, links, status, scope and resource; with the client's
 * environment and release and what `propagateAttributes` says where it starts. Nothing here waits, throws or changes the span; what does
 * not fit the client's bounds is dropped and counted.
 */
export class TracespoolSpanProcessor {
  /** Where spans go. */
  readonly client: Client;
  private readonly handle: Handle;
  private readonly filter: ShouldExportSpan;
  private readonly exporting: Exporting | undefined;

  constructor(params: LangfuseSpanProcessorParams | Client = {}) {
    // A client may be of another copy of this package.
    const isClient = (params as Client | null)?.handle !== undefined;
    const given: LangfuseSpanProcessorParams = isClient ? { client: params as Client } : ((params as LangfuseSpanProcessorParams | null) ?? {});
    this.client = clientOf(given);
    this.handle = this.client.handle;
    const { shouldExportSpan, exporter } = given;
    if (shouldExportSpan !== undefined && typeof shouldExportSpan !== "function") {
      tell("shouldExportSpan is no function; the default is used");
    }
    this.filter = typeof shouldExportSpan === "function" ? shouldExportSpan : ({ otelSpan }) => isDefaultExportSpan(otelSpan);
    if (exporter !== undefined) {
      const batch = given.exportMode === "immediate" ? 1 : given.flushAt;
      this.exporting = new Exporting(exporter as Exporter, batch, given.flushInterval === undefined ? undefined : given.flushInterval * 1000);
    }
  }

  private get enabled(): boolean {
    return this.handle.enabled || this.exporting !== undefined;
  }

  /** A span has started. */
  onStart(span: unknown, parentContext?: unknown): void {
    if (!this.enabled) {
      return;
    }
    try {
      remember(this.handle, span as Readable, parentContext, this.wants(span) === true);
    } catch (error) {
      tell(`a span of other instrumentation cannot be read when it starts: ${shown(String(error))}`);
    }
  }

  private wants(span: unknown): boolean | undefined {
    try {
      return this.filter({ otelSpan: span as ReadableSpan }) !== false;
    } catch {
      return undefined;
    }
  }

  /** A span has ended. One that is recorded but not sampled is for others. */
  onEnd(span: unknown): void {
    const { handle } = this;
    try {
      const ended = span as Readable;
      const { traceId, spanId, traceFlags } = ended.spanContext();
      const started = take(handle.destination, spanId);
      if (!this.enabled || ((traceFlags ?? 1) & 1) === 0) {
        return;
      }
      const wanted = this.wants(span);
      if (wanted === undefined) {
        this.refuse();
      }
      if (wanted !== true) {
        return;
      }
      const { exporting } = this;
      if (started?.refused === true && exporting === undefined) {
        handle.backend.refused(handle.id, 1);
        expect();
        return;
      }
      masked(handle, contentOf(ended), started?.metadata ?? null, (content) => {
        if (exporting !== undefined) {
          exporting.take(handle, ended, content, started);
          return;
        }
        const kept = withoutMedia(handle, traceId, spanId, content);
        handle.backend.span(handle.id, envelopeOf(ended), started?.propagated ?? "", textOf(ended, kept, started));
        expect();
      });
    } catch (error) {
      tell(`a span of other instrumentation cannot be read: ${shown(String(error))}`);
      this.refuse();
    }
  }

  /** Counts one that could not be taken: what is no span is counted by the core. */
  private refuse(): void {
    if (this.handle.enabled) {
      this.handle.backend.span(this.handle.id, "", "", "");
    }
  }

  /** Sends what the client has pending, and waits for what is under way, 5 s at most. Never rejects. */
  async forceFlush(): Promise<void> {
    await this.flush(undefined);
  }

  /** The same, 3 s at most. The client works on. */
  async shutdown(): Promise<void> {
    await this.flush(SHUTDOWN);
    try {
      await this.exporting?.shutdown();
    } catch (error) {
      tell(`an exporter failed: ${shown(String(error))}`);
    }
  }

  private async flush(timeout: number | undefined): Promise<void> {
    await this.client.flush({ timeout });
    await this.exporting?.drain();
  }
}

/** The same under the name of `@langfuse/otel`. */
export { TracespoolSpanProcessor as LangfuseSpanProcessor };
