/** What stands behind `Client` objects: a handle of the core, its settings and what only JavaScript has. */
import type { Backend, CoreOptions, Settings } from "./backend.js";
import { FinalizationRegistry, later, variable } from "./host.js";
import { home } from "./home.js";
import { tell } from "./log.js";
import { connect } from "./native.js";
import { watchExit } from "./exit.js";
import type { Client } from "./client.js";
import { current } from "./scope.js";

/** Changes content before it leaves; see `ClientOptions.mask`. */
export type MaskFunction = (params: { data: any }) => any;

/** As many as the core holds destinations. */
const MOST_HANDLES = 1024;

/**
 * Observations that began one after the other share one token. What the collector tells of a token that nobody holds any more is
 * told of all of them, at a sixty-fourth of the price.
 */
const TOKEN_SIZE = 64;

/** Observations that began and have not ended; lives longer than its token. */
interface Open {
  count: number;
  readonly handle: number;
}

export class Token {
  constructor(readonly open: Open) {}
}

/** Options that the core does not know. */
export interface Own {
  readonly mask: MaskFunction | null;
  readonly followParentSampling: boolean;
  /** False: media stay in values. */
  readonly media: boolean;
}

const NONE: Own = { mask: null, followParentSampling: false, media: true };

export class Handle {
  readonly mask: MaskFunction | null;
  readonly followParentSampling: boolean;
  readonly enabled: boolean;
  readonly destination: string;
  readonly publicKey: string;
  readonly media: boolean;
  /** Every trace is kept, so that nobody needs to be asked. */
  readonly keepsAll: boolean;
  /** The last observation that ended found no room for another trace. */
  crowded = false;
  /** The object that applications see: that of `getClient()`. */
  client: Client | undefined;
  private token: Token;
  private left = 0;

  constructor(
    readonly backend: Backend,
    readonly id: number,
    readonly settings: Settings,
    own: Own,
  ) {
    this.mask = own.mask;
    this.followParentSampling = own.followParentSampling;
    this.enabled = settings.enabled;
    this.destination = settings.destination;
    this.publicKey = settings.public_key;
    this.media = settings.media && own.media;
    this.keepsAll = settings.sample_rate >= 1;
    this.token = new Token({ count: 0, handle: id });
  }

  /** For an observation that begins: let go of when it ends. */
  begun(): Token {
    if (this.left === 0) {
      this.left = TOKEN_SIZE;
      const open = { count: 0, handle: this.id };
      this.token = new Token(open);
      given.register(this.token, open);
    }
    this.left -= 1;
    this.token.open.count += 1;
    return this.token;
  }

  /** Whether there is room for another trace, once there was none. */
  hasRoom(): boolean {
    this.crowded = !this.backend.hasRoom(this.id);
    return !this.crowded;
  }

  /** Whether the client's sampling keeps a trace. */
  keeps(traceId: string): boolean {
    return this.keepsAll || this.backend.keeps(this.id, traceId);
  }
}

const given = new FinalizationRegistry<Open>((open) => {
  if (open.count > 0) {
    home.backend?.neverEnded(open.handle, open.count);
  }
});

/** Handles that nobody holds any more. They are given back a little later: what is told of their observations counts for them yet. */
let gone: number[] = [];
/** When the first of them was left (monotonic milliseconds). */
let left = 0;
const RELEASED_AFTER = 1000;

const released = new FinalizationRegistry<number>((handle) => {
  gone.push(handle);
  if (gone.length === 1) {
    left = performance.now();
    later(release, RELEASED_AFTER);
  }
});

function release(): void {
  const handles = gone;
  gone = [];
  for (const handle of handles) {
    home.backend?.release(handle);
  }
}

/** The core, loaded when something needs it first. */
export function backend(): Backend {
  if (home.backend === undefined) {
    home.backend = connect();
    if (home.backend.kind === "none") {
      tell(`nothing is traced: ${home.backend.version()}`);
    }
    watchExit();
  }
  return home.backend;
}

function adopt(core: Backend, id: number, own: Own): Handle {
  const handle = new Handle(core, id, JSON.parse(core.settings(id)) as Settings, own);
  released.register(handle, id);
  return handle;
}

/** A handle for these options: in the core a lookup where they have been asked for before. */
export function open(options: CoreOptions, own: Own = NONE): Handle {
  const core = backend();
  if (gone.length > 0 && performance.now() >= left + RELEASED_AFTER) {
    // Where timers end with the request that made them there was none.
    release();
  }
  const handle = adopt(core, core.open(JSON.stringify(options)), own);
  remember(handle);
  return handle;
}

/**
 * Remembers a handle as the latest of its destination. One that is switched off stands for its key until one that is not is made:
 * what is traced without naming a client is meant to be off too.
 */
function remember(handle: Handle): void {
  const { handles } = home;
  if (handle.publicKey === "" || (handle.enabled && handles.get(handle.destination) === handle)) {
    return;
  }
  for (const [key, other] of handles) {
    if (other.publicKey === handle.publicKey) {
      if (!handle.enabled) {
        return;
      }
      if (!other.enabled) {
        handles.delete(key);
      }
    }
  }
  home.root = undefined;
  const key = handle.enabled ? handle.destination : `off ${handle.publicKey}`;
  handles.delete(key);
  if (handles.size >= MOST_HANDLES) {
    handles.delete(handles.keys().next().value as string);
  }
  handles.set(key, handle);
}

/** Forgets the handles of these destinations. */
export function forget(matches: (handle: Handle) => boolean): void {
  home.root = undefined;
  for (const [key, handle] of home.handles) {
    if (matches(handle)) {
      home.handles.delete(key);
    }
  }
}

function latest(publicKey: string): Handle | undefined {
  let found: Handle | undefined;
  for (const handle of home.handles.values()) {
    if (handle.publicKey === publicKey) {
      found = handle;
    }
  }
  return found;
}

let disabled: Handle | undefined;

function nobody(): Handle {
  disabled ??= adopt(backend(), backend().open('{"tracing_enabled":false}'), NONE);
  return disabled;
}

/** The client of a call that names none: of what is current, the environment's, the only one; else none, with one line. */
export function resolve(publicKey?: string): Handle {
  if (publicKey === undefined) {
    const { client } = current();
    if (client !== null) {
      return client;
    }
  }
  return root(publicKey);
}

/** Reading the environment costs as much as an observation's ids; what it says now holds for so many milliseconds. */
const ROOT_HOLDS = 100;

/** The same outside of any observation. */
export function root(publicKey?: string): Handle {
  if (publicKey !== undefined) {
    return find(publicKey);
  }
  const now = performance.now();
  let known = home.root;
  if (known === undefined || now >= known.until) {
    const handle = find();
    known = { handle, until: now + ROOT_HOLDS };
    // Not what stands for no client: there may be one in a moment, and it was told that there is none.
    home.root = handle === disabled ? undefined : known;
  }
  return known.handle;
}

function find(publicKey?: string): Handle {
  if (backend().kind === "none") {
    return nobody();
  }
  const named = variable("LANGFUSE_PUBLIC_KEY");
  const wanted = publicKey ?? named;
  let found = wanted === undefined ? undefined : latest(wanted);
  if (found === undefined && wanted === undefined && home.handles.size === 1) {
    for (const only of home.handles.values()) {
      found = only;
    }
  }
  if (found !== undefined) {
    return found;
  }
  const elsewhere = (): boolean => variable("TRACESPOOL_OTLP_ENDPOINT") !== undefined || variable("TRACESPOOL_DIALECT") !== undefined;
  if (named === undefined ? publicKey === undefined && elsewhere() : wanted === named) {
    return open({});
  }
  if (publicKey !== undefined) {
    tell(`there is no client of the public key ${publicKey}: nothing is traced. Make one with new Client({ publicKey, secretKey }) first`);
  } else {
    tell("there is no client, or several, and none is named: nothing is traced. Name one, or run the code in client.use(fn)");
  }
  return nobody();
}
