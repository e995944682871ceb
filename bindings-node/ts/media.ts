/**
 * Media in values: pictures, sound, documents. Base64 in a message is found by itself; `LangfuseMedia` wraps what is not base64, or stands
 * at an unusual place. What goes into the trace is a reference; the content is uploaded apart from it, once for each client.
 */
import type { Handle } from "./handle.js";
import { base64, fromBase64, sha256 } from "./host.js";
import { MEDIA } from "./kinds.js";
import { attempt, shown, tell } from "./log.js";
import { arrival } from "./tickets.js";

export type LangfuseMediaParams =
  | { source: "base64_data_uri"; base64DataUri: string }
  | { source: "bytes"; contentBytes: Uint8Array; contentType: string };

const BEGIN = "@@@langfuseMedia:";
const MARK = "@@@";

function contentOf(params: LangfuseMediaParams): { contentType: string; contentBytes: Uint8Array; source: string } | undefined {
  if (params?.source === "base64_data_uri") {
    const found = /^data:([^;,]+)[^,]*;base64,(.+)$/s.exec(String(params.base64DataUri));
    if (found !== null) {
      return { contentType: found[1] as string, contentBytes: fromBase64(found[2] as string), source: params.source };
    }
    tell("LangfuseMedia: base64DataUri is no `data:<type>;base64,<content>`; it is empty");
  } else if (params?.source === "bytes" && params.contentBytes instanceof Uint8Array && typeof params.contentType === "string") {
    return { contentType: params.contentType, contentBytes: params.contentBytes, source: params.source };
  } else {
    tell("LangfuseMedia takes { source: 'base64_data_uri', base64DataUri } or { source: 'bytes', contentBytes, contentType }; it is empty");
  }
  return undefined;
}

/** A content to be uploaded. Never throws: of what cannot be used it holds nothing, with one line, and the trace says so in its place. */
export class LangfuseMedia {
  readonly contentType: string | undefined;
  readonly contentBytes: Uint8Array | undefined;
  readonly source: string | undefined;
  private hash: string | undefined;

  constructor(params: LangfuseMediaParams) {
    const found = attempt("LangfuseMedia's content", () => contentOf(params));
    this.contentType = found?.contentType;
    this.contentBytes = found?.contentBytes;
    this.source = found?.source;
  }

  private digest(): string | undefined {
    if (this.contentBytes === undefined || this.contentBytes.length === 0) {
      return undefined;
    }
    return (this.hash ??= sha256(this.contentBytes));
  }

  private id(): string | undefined {
    return this.digest()?.replaceAll("+", "-").replaceAll("/", "_").slice(0, 22);
  }

  /** What stands for it in the trace; `null` where it is empty. */
  get reference(): string | null {
    const id = this.id();
    return id === undefined || this.contentType === undefined ? null : `${BEGIN}type=${this.contentType}|id=${id}|source=${this.source}${MARK}`;
  }

  get contentLength(): number | undefined {
    return this.contentBytes?.length;
  }

  get base64DataUri(): string | null {
    return this.contentBytes === undefined ? null : `data:${this.contentType};base64,${base64(this.contentBytes)}`;
  }

  /** The content's id. */
  async getId(): Promise<string | null> {
    return this.id() ?? null;
  }

  /** Base64 of the content's SHA-256. */
  async getSha256Hash(): Promise<string | undefined> {
    return this.digest();
  }

  /** See `reference`. */
  async getTag(): Promise<string | null> {
    return this.reference;
  }

  toJSON(): string | null {
    return this.base64DataUri;
  }
}
Object.defineProperty(LangfuseMedia.prototype, MEDIA, { value: true });

export interface LangfuseMediaReferenceParams {
  mediaId: string;
  contentType: string;
  url: string;
  urlExpiry?: string;
  contentLength?: number;
  referenceString: string;
}

/** A content that is stored on the server, and a signed address of it. */
export class LangfuseMediaReference implements LangfuseMediaReferenceParams {
  readonly mediaId: string;
  readonly contentType: string;
  readonly url: string;
  readonly urlExpiry?: string;
  readonly contentLength?: number;
  readonly referenceString: string;

  constructor(params: LangfuseMediaReferenceParams) {
    this.mediaId = params.mediaId;
    this.contentType = params.contentType;
    this.url = params.url;
    this.urlExpiry = params.urlExpiry;
    this.contentLength = params.contentLength;
    this.referenceString = params.referenceString;
  }

  /** In a trace it is its reference. */
  toJSON(): string {
    return this.referenceString;
  }

  /** Whether the address is no longer good, or will not be in so many seconds; false where that is not known. */
  isUrlExpired(thresholdSeconds = 0): boolean {
    const expiry = this.urlExpiry === undefined ? Number.NaN : Date.parse(this.urlExpiry);
    return !Number.isNaN(expiry) && expiry <= Date.now() + thresholdSeconds * 1000;
  }

  /** The content. Rejects where the server refuses or does not answer within 30 s. */
  async fetchBytes(): Promise<Uint8Array> {
    const response = await fetch(this.url, { signal: AbortSignal.timeout(30_000) });
    if (!response.ok) {
      throw new Error(`the server answered ${response.status}`);
    }
    return new Uint8Array(await response.arrayBuffer());
  }

  async fetchBase64(): Promise<string> {
    return base64(await this.fetchBytes());
  }

  async fetchDataUri(): Promise<string> {
    return `data:${this.contentType};base64,${await this.fetchBase64()}`;
  }
}

/** What a reference says. */
export interface ParsedMediaReference {
  mediaId: string;
  source: string;
  contentType: string;
}

const FETCH_TIMEOUT = 10_000;

/** Stored media of a client's project. */
export class MediaManager {
  constructor(private readonly handle: Handle) {}

  /** What a reference says. Throws where it is none. */
  static parseReferenceString(reference: string): ParsedMediaReference {
    if (typeof reference !== "string" || !reference.startsWith(`${BEGIN}type=`) || !reference.endsWith(MARK)) {
      throw new Error(`a media reference begins with '${BEGIN}type=' and ends with '${MARK}'`);
    }
    const said = new Map(
      reference
        .slice(BEGIN.length, -MARK.length)
        .split("|")
        .map((pair) => {
          const at = pair.indexOf("=");
          return [pair.slice(0, at), pair.slice(at + 1)] as const;
        }),
    );
    const [contentType, mediaId, source] = [said.get("type"), said.get("id"), said.get("source")];
    if (!contentType || !mediaId || !source) {
      throw new Error("a media reference names type, id and source");
    }
    return { contentType, mediaId, source };
  }

  /**
   * A copy of `obj` with the contents, as data URIs, in the place of references to them: in texts, lists and objects, `maxDepth` (10)
   * levels deep. A content that cannot be fetched within 10 s leaves its reference, with one line.
   */
  async resolveReferences<T>(params: { obj: T; resolveWith?: "base64DataUri"; maxDepth?: number }): Promise<T> {
    const known = new Map<string, Promise<string>>();
    return (await this.resolved(params.obj, params.maxDepth ?? 10, known)) as T;
  }

  private async resolved(value: unknown, depth: number, known: Map<string, Promise<string>>): Promise<unknown> {
    if (depth < 0) {
      return value;
    }
    if (typeof value === "string") {
      return value.includes(BEGIN) ? this.resolvedText(value, known) : value;
    }
    if (Array.isArray(value)) {
      return Promise.all(value.map((item) => this.resolved(item, depth - 1, known)));
    }
    if (typeof value === "object" && value !== null) {
      const entries = Object.entries(value).map(async ([key, item]) => [key, await this.resolved(item, depth - 1, known)] as const);
      return Object.fromEntries(await Promise.all(entries));
    }
    return value;
  }

  private async resolvedText(text: string, known: Map<string, Promise<string>>): Promise<string> {
    let resolved = text;
    for (const reference of new Set(text.match(/@@@langfuseMedia:.+?@@@/g) ?? [])) {
      let content = known.get(reference);
      if (content === undefined) {
        content = this.content(reference);
        known.set(reference, content);
      }
      resolved = resolved.replaceAll(reference, await content);
    }
    return resolved;
  }

  /** The data URI; the reference itself where it cannot be fetched. */
  private async content(reference: string): Promise<string> {
    try {
      const { mediaId } = MediaManager.parseReferenceString(reference);
      const stored = await this.stored(mediaId);
      return await stored.fetchDataUri();
    } catch (error) {
      tell(`the media of ${shown(reference)} cannot be fetched, the reference stays: ${String(error)}`);
      return reference;
    }
  }

  private async stored(mediaId: string): Promise<LangfuseMediaReference> {
    const { backend, id } = this.handle;
    const ticket = backend.request(id, "GET", `/api/public/media/${encodeURIComponent(mediaId)}`, "", FETCH_TIMEOUT);
    const text = await arrival(backend, ticket, FETCH_TIMEOUT);
    const answer = JSON.parse(text ?? '{"error":"no answer"}') as { status?: number; body?: string; error?: string };
    if (answer.status !== 200 || answer.body === undefined) {
      throw new Error(answer.error ?? `the server answered ${answer.status}`);
    }
    return new LangfuseMediaReference({ mediaId, referenceString: "", ...(JSON.parse(answer.body) as Partial<LangfuseMediaReferenceParams>) } as LangfuseMediaReferenceParams);
  }
}
