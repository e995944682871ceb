/** A client under the names of `@langfuse/client`. */
import {
  Client,
  type MediaManager,
  type PromptManager,
  type ScoreManager,
  arrival,
  deliver,
  shown,
  tell,
  variable,
} from "../internal.js";
import { withLimit } from "./api.js";
import { datasets } from "./dataset.js";
import { experiments } from "./experiment.js";
import { type Installed, installed } from "./installed.js";

/** @ts-ignore: where it is not installed this is any. */
import type { LangfuseClient as Theirs } from "@langfuse/client";

/** What is not given comes from the environment (`LANGFUSE_*`), then from the default. */
export interface LangfuseClientParams {
  publicKey?: string;
  secretKey?: string;
  /** `https://cloud.langfuse.com` by default. */
  baseUrl?: string;
  /** Of one request, in seconds; 5 by default. Holds for everything, `api` included. */
  timeout?: number;
  additionalHeaders?: Record<string, string>;
}

const TIMEOUT = 5;

function secondsOf(given: unknown): number {
  const said = given ?? variable("LANGFUSE_TIMEOUT");
  if (said === undefined) {
    return TIMEOUT;
  }
  const seconds = Number(said);
  if (Number.isFinite(seconds) && seconds > 0) {
    return seconds;
  }
  tell(`timeout ${shown(said)} is no number of seconds; ${TIMEOUT} is used`);
  return TIMEOUT;
}

/**
 * Prompts, scores and media are ours. `api`, `dataset` and `experiment` are those of an installed `@langfuse/client`, which is loaded
 * when one of them is used first; what experiments trace and score goes through this client.
 */
export class LangfuseClient {
  /** The client of ours that is behind it. */
  readonly client: Client;
  readonly prompt: PromptManager;
  readonly score: ScoreManager;
  readonly media: MediaManager;
  private readonly params: LangfuseClientParams;
  private readonly seconds: number;
  private readonly made: Record<string, unknown> = {};
  private projectId: string | undefined;

  constructor(params: LangfuseClientParams = {}) {
    const { publicKey, secretKey, baseUrl, timeout, additionalHeaders } = params ?? {};
    this.params = { publicKey, secretKey, baseUrl, additionalHeaders };
    this.seconds = secondsOf(timeout);
    this.client = new Client({ publicKey, secretKey, baseUrl, timeout: this.seconds, additionalHeaders });
    this.prompt = this.client.prompt;
    this.score = this.client.score;
    this.media = this.client.media;
  }

  private theirs<K extends "api" | "dataset" | "experiment">(name: K, make: (from: Installed) => Theirs[K]): Theirs[K] {
    return (this.made[name] ??= make(installed(name))) as Theirs[K];
  }

  /** The REST client. Throws where `@langfuse/client` is not installed. */
  get api(): Theirs["api"] {
    // Keys that come from the environment are found there by both.
    return this.theirs("api", (from) => withLimit(new from.LangfuseClient(this.params as never).api, this.seconds));
  }

  /** Datasets. Throws where `@langfuse/client` is not installed. */
  get dataset(): Theirs["dataset"] {
    return this.theirs("dataset", (from) => datasets(this, from));
  }

  /** Experiments. Throws where `@langfuse/client` is not installed. */
  get experiment(): Theirs["experiment"] {
    return this.theirs("experiment", (from) => experiments(this, from));
  }

  /** Sends what is pending, not only scores, and waits: 5 s at most. Never rejects; `client.flush()` tells what became of it. */
  async flush(): Promise<void> {
    await this.client.flush();
  }

  /** The same, 3 s at most. The client works on. */
  async shutdown(): Promise<void> {
    await this.client.flush({ timeout: 3000 });
  }

  /** The address of a trace in Langfuse's pages. Asks the server for the project, once. Rejects where it does not say. */
  async getTraceUrl(traceId: string): Promise<string> {
    this.projectId ??= await this.project();
    return `${this.client.baseUrl?.replace(/\/+$/, "") ?? ""}/project/${this.projectId}/traces/${traceId}`;
  }

  private async project(): Promise<string> {
    const { backend, id } = this.client.handle;
    const limit = this.seconds * 1000;
    const answer = await arrival(backend, backend.request(id, "GET", "/api/public/projects", "", limit), limit);
    deliver();
    const { status, body, error } = JSON.parse(answer ?? '{"error":"no answer"}') as { status?: number; body?: string; error?: string };
    if (error !== undefined || status !== 200) {
      throw new Error(`the server does not say which project this is: ${error ?? `it answered ${status}`}`);
    }
    const project = (JSON.parse(body ?? "{}") as { data?: { id?: string }[] }).data?.[0]?.id;
    if (project === undefined) {
      throw new Error("the server does not say which project this is");
    }
    return project;
  }

  /** @deprecated `prompt.get` */
  get getPrompt(): PromptManager["get"] {
    return this.prompt.get.bind(this.prompt) as PromptManager["get"];
  }
  /** @deprecated `prompt.create` */
  get createPrompt(): PromptManager["create"] {
    return this.prompt.create.bind(this.prompt) as PromptManager["create"];
  }
  /** @deprecated `prompt.update` */
  get updatePrompt(): PromptManager["update"] {
    return this.prompt.update.bind(this.prompt);
  }
  /** @deprecated `media.resolveReferences` */
  get resolveMediaReferences(): MediaManager["resolveReferences"] {
    return this.media.resolveReferences.bind(this.media) as MediaManager["resolveReferences"];
  }
  /** @deprecated `dataset.get` */
  get getDataset(): Theirs["getDataset"] {
    return this.dataset.get.bind(this.dataset);
  }
  /** @deprecated `dataset.createItem` */
  get createDatasetItem(): Theirs["createDatasetItem"] {
    return this.dataset.createItem.bind(this.dataset);
  }
  /** @deprecated `api.trace.get` */
  get fetchTrace(): Theirs["fetchTrace"] {
    return this.api.trace.get;
  }
  /** @deprecated `api.trace.list` */
  get fetchTraces(): Theirs["fetchTraces"] {
    return this.api.trace.list;
  }
  /** @deprecated `api.legacy.observationsV1.get` */
  get fetchObservation(): Theirs["fetchObservation"] {
    return this.api.legacy.observationsV1.get;
  }
  /** @deprecated `api.observations.getMany` */
  get fetchObservations(): Theirs["fetchObservations"] {
    return this.api.observations.getMany;
  }
  /** @deprecated `api.sessions.get` */
  get fetchSessions(): Theirs["fetchSessions"] {
    return this.api.sessions.get;
  }
  /** @deprecated `api.datasets.getRun` */
  get getDatasetRun(): Theirs["getDatasetRun"] {
    return this.api.datasets.getRun;
  }
  /** @deprecated `api.datasets.getRuns` */
  get getDatasetRuns(): Theirs["getDatasetRuns"] {
    return this.api.datasets.getRuns;
  }
  /** @deprecated `api.datasets.create` */
  get createDataset(): Theirs["createDataset"] {
    return this.api.datasets.create;
  }
  /** @deprecated `api.datasetItems.get` */
  get getDatasetItem(): Theirs["getDatasetItem"] {
    return this.api.datasetItems.get;
  }
  /** @deprecated `api.media.get` */
  get fetchMedia(): Theirs["fetchMedia"] {
    return this.api.media.get;
  }
}

/** Makes what it is asked for out of the installed package, so that `new` and `instanceof` are those of its class. */
function lazily<T extends "DatasetManager" | "ExperimentManager">(name: T): Installed[T] {
  // A function of the old kind: the prototype of a class may not be another one.
  return new Proxy(function () {} as unknown as object & (new () => object), {
    construct: (_target, args) => Reflect.construct(installed(name)[name] as never, args) as object,
    get: (_target, key) => Reflect.get(installed(name)[name], key) as unknown,
    getPrototypeOf: () => Object.getPrototypeOf(installed(name)[name]) as object,
  }) as unknown as Installed[T];
}

export const DatasetManager: Installed["DatasetManager"] = lazily("DatasetManager");
export type DatasetManager = Theirs["dataset"];
export const ExperimentManager: Installed["ExperimentManager"] = lazily("ExperimentManager");
export type ExperimentManager = Theirs["experiment"];
