/** Experiments: the installed package runs them, and what they record is recorded here. */
import { createHash } from "node:crypto";

import {
  type Client,
  type LangfuseSpan,
  type ScoreBody,
  backend,
  propagateAttributes,
  shown,
  startActive,
  tell,
} from "../internal.js";
import type { Installed } from "./installed.js";

/** What servers know the observations of experiments by. */
const ENVIRONMENT = "sdk-experiment";

interface Item {
  id?: string;
  datasetId?: string;
  input?: unknown;
  expectedOutput?: unknown;
  metadata?: Record<string, unknown>;
}

/** What the installed package passes for one item of a run. */
interface ItemRun {
  item: Item;
  task: (item: Item) => unknown;
  evaluators?: ((params: object) => Promise<unknown>)[];
  experimentName: string;
  experimentRunName: string;
  experimentDescription?: string;
  experimentMetadata?: Record<string, unknown>;
  fallbackExperimentId: string;
  datasetVersion?: string;
}

/** What it needs of the client that it belongs to. */
export interface Owner {
  readonly client: Client;
  readonly api: any;
}

function asText(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : typeof value === "string" ? value : JSON.stringify(value);
}

/** The id of an item that has none: the same input has the same id. */
function itemId(input: unknown): string {
  return createHash("sha256")
    .update(asText(input) ?? "undefined")
    .digest("hex")
    .slice(0, 16);
}

/** Puts attributes on this observation alone. */
function put(root: LangfuseSpan, experiment: Record<string, string | undefined>): void {
  const { record } = JSON.parse(backend().propagate("", JSON.stringify({ environment: ENVIRONMENT, experiment }))) as { record: string };
  root.record += record;
}

/** Links the item's run to its dataset; the dataset run's id. */
async function link(owner: Owner, run: ItemRun, root: LangfuseSpan): Promise<string | undefined> {
  if (run.item.id === undefined) {
    return undefined;
  }
  try {
    const made = await owner.api.datasetRunItems.create({
      runName: run.experimentRunName,
      runDescription: run.experimentDescription,
      metadata: run.experimentMetadata,
      datasetItemId: run.item.id,
      traceId: root.traceId,
      observationId: root.id,
      ...(run.datasetVersion === undefined ? {} : { datasetVersion: run.datasetVersion }),
    });
    return made.datasetRunId;
  } catch (error) {
    tell(`an experiment's item cannot be linked to its dataset: ${shown((error as Error)?.message ?? String(error))}`);
    return undefined;
  }
}

async function execute(owner: Owner, run: ItemRun, root: LangfuseSpan): Promise<{ output: unknown; datasetRunId: string | undefined }> {
  const { item, experimentMetadata } = run;
  if (item.input === undefined) {
    throw new Error("the item has no input");
  }
  const datasetRunId = await link(owner, run, root);
  put(root, {
    "langfuse.experiment.description": run.experimentDescription,
    "langfuse.experiment.item.expected_output": asText(item.expectedOutput),
  });
  const scope = {
    environment: ENVIRONMENT,
    _internalExperiment: {
      experimentId: datasetRunId ?? run.fallbackExperimentId,
      experimentName: run.experimentRunName,
      experimentMetadata: asText(experimentMetadata),
      experimentDatasetId: item.datasetId,
      experimentItemId: item.id ?? itemId(item.input),
      experimentItemMetadata: asText(item.metadata),
      experimentItemRootObservationId: root.id,
    },
  };
  const output = await propagateAttributes(scope, async () => run.task(item));
  root.update({
    input: item.input,
    output,
    metadata: {
      ...item.metadata,
      ...experimentMetadata,
      experiment_name: run.experimentName,
      experiment_run_name: run.experimentRunName,
      ...(item.datasetId !== undefined && item.id !== undefined ? { dataset_id: item.datasetId, dataset_item_id: item.id } : {}),
    },
  });
  return { output, datasetRunId };
}

async function evaluate(run: ItemRun, output: unknown): Promise<ScoreBody[]> {
  const { input, expectedOutput, metadata } = run.item;
  const answers = (run.evaluators ?? []).map(async (evaluator) => {
    try {
      return [await evaluator({ input, expectedOutput, output, metadata })].flat() as ScoreBody[];
    } catch (error) {
      tell(`the evaluator ${shown(evaluator.name)} failed: ${shown(String(error))}`);
      return [];
    }
  });
  return (await Promise.all(answers)).flat();
}

/** One item: an observation around its task, then its scores. */
async function runItem(owner: Owner, run: ItemRun): Promise<object> {
  const ids = { traceId: "", observationId: "" };
  const { output, datasetRunId } = await startActive(
    owner.client.handle,
    "experiment-item-run",
    (root: LangfuseSpan) => {
      ids.traceId = root.traceId;
      ids.observationId = root.id;
      return execute(owner, run, root);
    },
    undefined,
  );
  const evaluations = await evaluate(run, output);
  for (const evaluation of evaluations) {
    owner.client.score.create({ ...ids, ...evaluation });
  }
  return { output, evaluations, traceId: ids.traceId, datasetRunId, item: run.item };
}

/** The installed package's manager, whose items are observations of this client. Nothing of OpenTelemetry is used, nothing global. */
export function experiments(owner: Owner, from: Installed): InstanceType<Installed["ExperimentManager"]> {
  const Base = from.ExperimentManager as unknown as new (params: object) => Record<string, unknown>;
  if (typeof Base.prototype.runItem !== "function" || typeof Base.prototype.isOtelRegistered !== "function") {
    throw new Error("experiments need @langfuse/client 5.11 or a version like it; the installed one runs its items in another way");
  }
  class Experiments extends Base {
    isOtelRegistered(): boolean {
      return true;
    }
    runItem(run: ItemRun): Promise<object> {
      return runItem(owner, run);
    }
  }
  return new Experiments({ langfuseClient: owner }) as unknown as InstanceType<Installed["ExperimentManager"]>;
}
