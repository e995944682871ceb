/** Clients of OpenAI's package whose calls are recorded. */
import { type Client, type SpanContext, begin, propagateAttributes, shown, tell } from "../internal.js";
import { Call } from "./call.js";
import { type Kind, input, metadata, parameters, part } from "./request.js";

/** What is said of the recorded calls. */
export interface LangfuseConfig {
  /** A trace, and a parent in it, instead of what is current. */
  parentSpanContext?: SpanContext;
  traceName?: string;
  sessionId?: string;
  userId?: string;
  tags?: string[];
  /** The generations' name; by default the client's class and the API, such as `OpenAI.chat`. */
  generationName?: string;
  /** Metadata of every generation. */
  generationMetadata?: Record<string, unknown>;
  /** The prompt that generations link to. */
  langfusePrompt?: { name: string; version: number; isFallback?: boolean };
  /** The client that observations go to; by default that of what is current. */
  client?: Client;
}

/** Where calls to models are: members of the client, and the methods that are calls. Everything else is left as it is. */
interface Place {
  readonly calls?: Readonly<Record<string, Kind>>;
  readonly members?: Readonly<Record<string, Place>>;
}

const CHAT: Place = { members: { completions: { calls: { create: "chat" } } } };
const RESPONSES: Place = { calls: { create: "responses" } };

// `parse`, `stream`, `runTools` and their like call `create` of the client that they belong to: each of their requests is recorded there.
const PLACES: Place = {
  members: {
    chat: CHAT,
    completions: { calls: { create: "completion" } },
    responses: RESPONSES,
    embeddings: { calls: { create: "embedding" } },
    images: { calls: { generate: "image", edit: "image" } },
    beta: { members: { chat: CHAT, responses: RESPONSES } },
  },
};

type Method = (...args: unknown[]) => unknown;

/** What an observed client was made of. */
interface Made {
  sdk: object;
  config: LangfuseConfig;
}

const observed = new WeakMap<object, Made>();

/**
 * A client like `sdk` whose calls to models are recorded as generations: chat completions, completions, responses, embeddings and
 * pictures, streamed or not, directly or through `parse`, `stream` and `runTools`. `sdk` itself is not changed. What calls return is
 * what the package returns: promises keep `withResponse()` and `asResponse()`, streams keep `controller`, `tee()` and
 * `toReadableStream()`. A stream's observation ends when the stream does, or when it is left, aborted or forgotten, with what had come.
 *
 * @param sdk A client of `openai` 4 to 7, of Azure's kind too, or one with the same members.
 */
export function observeOpenAI<T extends object>(sdk: T, config: LangfuseConfig = {}): T {
  if (typeof sdk !== "object" || sdk === null) {
    tell(`observeOpenAI: ${shown(sdk)} is no client; it is returned as it is`);
    return sdk;
  }
  const before = observed.get(sdk);
  const made: Made = before === undefined ? { sdk, config: config ?? {} } : { sdk: before.sdk, config: { ...before.config, ...config } };
  const root = new Root(made);
  const proxy = new Proxy(made.sdk, root);
  root.client = proxy;
  observed.set(proxy, made);
  return proxy as T;
}

/** One member of a client. What it makes of its members is kept, so that the same is the same. */
class Member implements ProxyHandler<object> {
  private readonly made = new Map<PropertyKey, { of: unknown; shown: unknown }>();
  /** The observed client. */
  client: object | undefined;

  constructor(
    protected readonly owner: Made,
    private readonly place: Place,
    /** The member of the client through which it is reached. */
    private readonly api: string,
  ) {}

  get(target: object, key: PropertyKey): unknown {
    // Getters run on the object itself: it may have private fields.
    const value: unknown = Reflect.get(target, key, target);
    const known = this.made.get(key);
    if (known !== undefined && known.of === value) {
      return known.shown;
    }
    const shown = this.show(target, key, value);
    if (shown === value) {
      return value;
    }
    const property = Reflect.getOwnPropertyDescriptor(target, key);
    if (property !== undefined && property.configurable === false && property.writable !== true) {
      return value;
    }
    this.made.set(key, { of: value, shown });
    return shown;
  }

  set(target: object, key: PropertyKey, value: unknown): boolean {
    return Reflect.set(target, key, value, target);
  }

  protected show(target: object, key: PropertyKey, value: unknown): unknown {
    if (typeof key !== "string") {
      return value;
    }
    if (typeof value === "function") {
      const { calls } = this.place;
      return calls !== undefined && Object.hasOwn(calls, key) ? this.recorded(target, value as Method, calls[key] as Kind) : value;
    }
    if (typeof value !== "object" || value === null) {
      return value;
    }
    if (key === "_client" && value === this.owner.sdk) {
      return this.client;
    }
    const { members } = this.place;
    if (members === undefined || !Object.hasOwn(members, key)) {
      return value;
    }
    const member = new Member(this.owner, members[key] as Place, this.api === "" ? key : this.api);
    member.client = this.client;
    return new Proxy(value, member);
  }

  private recorded(target: object, method: Method, kind: Kind): Method {
    return new Proxy(method, { apply: (_, self, args: unknown[]) => record(this.owner, this.api, kind, args, () => Reflect.apply(method, own(self, target), args)) });
  }
}

/** The object itself where its observed twin was called, or nothing. */
function own(self: unknown, target: object): unknown {
  return self === undefined || self === null || (typeof self === "object" && self !== target && Object.getPrototypeOf(self) === Object.getPrototypeOf(target)) ? target : self;
}

/** The client: its methods run on the object itself, which has private fields. */
class Root extends Member {
  constructor(owner: Made) {
    super(owner, PLACES, "");
  }

  protected override show(target: object, key: PropertyKey, value: unknown): unknown {
    if (typeof value !== "function" || key === "constructor" || Object.hasOwn(target, key)) {
      return super.show(target, key, value);
    }
    const again = key === "withOptions";
    return new Proxy(value as Method, {
      apply: (method, self, args: unknown[]) => {
        const result = Reflect.apply(method, own(self, target), args) as unknown;
        return again && typeof result === "object" && result !== null ? observeOpenAI(result, this.owner.config) : result;
      },
    });
  }
}

/** Runs a call and records it. Whatever goes wrong with the recording, the call is made, once. */
function record(owner: Made, api: string, kind: Kind, args: unknown[], run: () => unknown): unknown {
  let call: Call | undefined;
  try {
    call = start(owner, api, kind, args[0]);
  } catch (error) {
    tell(`a call to OpenAI cannot be recorded: ${shown(String(error))}`);
  }
  if (call === undefined) {
    return run();
  }
  let result: unknown;
  try {
    result = run();
  } catch (error) {
    call.fail(error);
    throw error;
  }
  return call.follow(result);
}

function start(owner: Made, api: string, kind: Kind, body: unknown): Call | undefined {
  const { sdk, config } = owner;
  const { traceName, sessionId, userId, tags, generationName, generationMetadata, langfusePrompt, parentSpanContext, client } = config;
  const asked = parameters(body);
  const name = generationName ?? `${sdk.constructor?.name ?? "OpenAI"}.${api}`;
  const attributes = {
    model: part(body, "model"),
    input: input(kind, body),
    modelParameters: asked,
    metadata: metadata(kind, body, generationMetadata),
    prompt: langfusePrompt,
  };
  const make = (): ReturnType<typeof begin> =>
    begin(null, name, attributes, { asType: kind === "embedding" ? "embedding" : "generation", parentSpanContext, client });
  const trace = { traceName, sessionId, userId, tags };
  const observation = Object.values(trace).some((value) => value !== undefined && value !== null) ? propagateAttributes(trace, make) : make();
  return observation.isRecording() ? new Call(kind, observation, asked, part(body, "stream") === true) : undefined;
}
