/** Media inside a value: the reference goes into the text, the content to the core, which uploads it. */
import type { Observation } from "./observation.js";

/** Contents that one value may hold; further ones stay in it as text. */
const MOST = 1024;

/** The shortest data URI: `data:a/b;base64,x`. */
const SHORTEST_URI = 17;

/** Whether a text may be a data URI: all that most texts are asked. */
export function mayBeUri(text: string): boolean {
  return text.length >= SHORTEST_URI && text.startsWith("data:");
}

/** Whether the object that is the value of this member may hold a provider's content. */
export function isPlace(key: string): boolean {
  return key === "inline_data" || key === "inlineData" || key === "input_audio" || key === "audio";
}

/** Takes the contents out of one value. */
export class Contents {
  private taken = 0;

  /** @param field `input`, `output` or `metadata`. */
  constructor(
    private readonly of: Observation,
    private readonly field: string,
  ) {}

  /** The reference that stands for a content, `null` for what is none. The type is empty for a whole data URI. */
  take(type: string, content: string | Uint8Array): string | null {
    if (this.taken >= MOST) {
      return null;
    }
    const { handle, scope } = this.of;
    const reference = handle.backend.media(handle.id, scope.traceId, scope.spanId, this.field, type, content);
    if (reference !== null) {
      this.taken += 1;
    }
    return reference;
  }

  /** The same of the member `data` of a provider's message. */
  member(holder: Record<string, unknown>, value: unknown, place: string): string | null {
    const isText = typeof value === "string" && value !== "";
    if (!isText && !(value instanceof Uint8Array)) {
      return null;
    }
    const word = (name: string): string | undefined => {
      const said = holder[name];
      return typeof said === "string" ? said : undefined;
    };
    const type = word("type");
    if (place === "" && type !== "base64" && type !== "media") {
      return null;
    }
    const shape = {
      place,
      type,
      media_type: word("media_type"),
      mime_type: word("mime_type") ?? word("mimeType"),
      format: word("format"),
      transcript: "transcript" in holder,
    };
    const contentType = this.of.handle.backend.mediaType(JSON.stringify(shape));
    return contentType === null ? null : this.take(contentType, value as string | Uint8Array);
  }
}

/** What stands for a `LangfuseMedia`: its reference, also where nothing is uploaded. */
export function ofMedia(value: object, contents: Contents | null): string {
  const { contentType, contentBytes, reference } = value as {
    contentType?: string;
    contentBytes?: Uint8Array;
    reference?: string | null;
  };
  if (typeof reference !== "string") {
    return `<Upload handling failed for LangfuseMedia of type ${contentType ?? null}>`;
  }
  if (contents !== null && contentBytes !== undefined && contentType !== undefined) {
    contents.take(contentType, contentBytes);
  }
  return reference;
}
