/** Responses whose body the application reads itself. The body is read when it is asked for, and by nobody else. */

/** Characters of a body that are kept until they can be read as JSON. */
const MAX_BODY = 8 * 1024 * 1024;

/** What is told of a body on its way. */
interface Listener {
  /** The answer, or an event of a streamed one. */
  item(value: unknown): void;
  end(): void;
  failed(error: unknown): void;
  /** The body, which may outlive its response. */
  body(body: object): void;
}

/** Puts the pieces of a body together: lines of a stream of events, or one JSON text. */
class Body {
  private rest = "";
  private lost = false;
  private readonly decoder = new TextDecoder();

  constructor(
    private readonly streamed: boolean,
    private readonly listener: Listener,
  ) {}

  bytes(piece: Uint8Array): void {
    this.text(this.decoder.decode(piece, { stream: true }));
  }

  text(piece: string): void {
    if (this.rest.length + piece.length > MAX_BODY) {
      this.lost = true;
      this.rest = "";
    }
    if (this.lost) {
      return;
    }
    this.rest += piece;
    if (this.streamed) {
      const lines = this.rest.split(/\r\n|\n|\r/);
      this.rest = lines.pop() as string;
      for (const line of lines) {
        this.line(line);
      }
    }
  }

  end(): void {
    if (this.streamed) {
      this.line(this.rest);
    } else if (!this.lost) {
      this.item(this.rest);
    }
    this.rest = "";
    this.listener.end();
  }

  private line(line: string): void {
    if (line.startsWith("data:") && line.slice(5).trim() !== "[DONE]") {
      this.item(line.slice(5));
    }
  }

  private item(text: string): void {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return;
    }
    this.listener.item(value);
  }
}

type Reads = "text" | "json" | "arrayBuffer" | "blob" | "bytes" | "buffer";

/** Listens to whatever of the response's methods the application reads the body with. */
export function tap(response: Response, streamed: boolean, listener: Listener): void {
  const body = new Body(streamed, listener);
  const own = (name: string, property: PropertyDescriptor): void => {
    Object.defineProperty(response, name, { configurable: true, ...property });
  };
  let taken = false;
  for (const name of ["text", "json", "arrayBuffer", "blob", "bytes", "buffer"] as Reads[]) {
    const read = (response as unknown as Record<Reads, unknown>)[name];
    if (typeof read !== "function") {
      continue;
    }
    const reads = async (...args: unknown[]): Promise<unknown> => {
      taken = true;
      let value: unknown;
      try {
        value = await (read as (...args: unknown[]) => Promise<unknown>).apply(response, args);
      } catch (error) {
        listener.failed(error);
        throw error;
      }
      if (name === "json") {
        listener.item(value);
        listener.end();
      } else if (typeof value === "string") {
        body.text(value);
        body.end();
      } else if (value instanceof ArrayBuffer || value instanceof Uint8Array) {
        body.bytes(new Uint8Array(value instanceof Uint8Array ? value : value.slice(0)));
        body.end();
      } else {
        listener.end();
      }
      return value;
    };
    own(name, { value: reads, writable: true });
  }
  const inner: unknown = response.body;
  if (typeof ReadableStream === "function" && inner instanceof ReadableStream) {
    let outer: ReadableStream | undefined;
    const get = (): ReadableStream => {
      if (outer === undefined) {
        outer = through(inner as ReadableStream<Uint8Array>, body, listener);
        listener.body(outer);
      }
      return outer;
    };
    own("body", { get });
  } else if (typeof (inner as { once?: unknown } | null)?.once === "function") {
    // A stream of Node's, of `node-fetch`: only its end is seen, since listening to its data would make it flow.
    listener.body(inner as object);
    (inner as { once(event: string, listener: () => unknown): void }).once("close", () => taken || listener.end());
  }
}

/** Another stream of bytes that takes from this one only what is asked of it. */
function through(inner: ReadableStream<Uint8Array>, body: Body, listener: Listener): ReadableStream {
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      try {
        reader ??= inner.getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) {
            body.end();
            controller.close();
            // One who reads into a buffer of their own waits for it.
            controller.byobRequest?.respond(0);
            return;
          }
          if (value.byteLength > 0) {
            body.bytes(value);
            controller.enqueue(value as Uint8Array<ArrayBuffer>);
            return;
          }
        }
      } catch (error) {
        listener.failed(error);
        controller.error(error);
      }
    },
    async cancel(reason) {
      listener.end();
      await (reader === undefined ? inner.cancel(reason) : reader.cancel(reason));
    },
  });
}
