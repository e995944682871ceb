/** What scripts that run experiments in CI use, under the names of `@langfuse/client`. */

interface Runs {
  experiment: { run(params: any): Promise<any> };
}

/** A client, and what its experiments have in common. */
export class RunnerContext<Input = any, ExpectedOutput = any, Metadata extends Record<string, any> = Record<string, any>> {
  readonly client: any;
  readonly data?: { input?: Input; expectedOutput?: ExpectedOutput; metadata?: Metadata }[];
  readonly datasetVersion?: string;
  readonly metadata?: Record<string, any>;

  constructor(options: { client: unknown; data?: any[]; datasetVersion?: string; metadata?: Record<string, any> }) {
    this.client = options.client;
    this.data = options.data;
    this.datasetVersion = options.datasetVersion;
    this.metadata = options.metadata;
  }

  /** Runs an experiment; what it does not say is taken from here, metadata of both add up. Rejects where neither has data. */
  async runExperiment(params: any): Promise<any> {
    const data = params.data ?? this.data;
    if (data === undefined) {
      throw new Error("runExperiment: there is no data, neither here nor in the RunnerContext");
    }
    const metadata = this.metadata === undefined && params.metadata === undefined ? undefined : { ...this.metadata, ...params.metadata };
    const datasetVersion = params.datasetVersion ?? this.datasetVersion;
    return (this.client as Runs).experiment.run({ ...params, data, datasetVersion, metadata });
  }
}

/** Thrown by scripts where an experiment did worse than it should. */
export class RegressionError extends Error {
  override readonly name = "RegressionError";
  readonly result: any;
  readonly metric?: string;
  readonly value?: number;
  readonly threshold?: number;

  constructor(params: { result: unknown; message?: string; metric?: string; value?: number; threshold?: number }) {
    const { result, message, metric, value, threshold } = params;
    const limit = threshold === undefined ? "" : ` (threshold ${threshold})`;
    super(message ?? (metric === undefined || value === undefined ? "Experiment regression detected" : `Regression on \`${metric}\`: ${value}${limit}`));
    this.result = result;
    this.metric = metric;
    this.value = value;
    this.threshold = threshold;
  }
}

/** An evaluator of the package `autoevals` as one of experiments. */
export function createEvaluatorFromAutoevals(evaluator: CallableFunction, params?: object): (params: any) => Promise<any> {
  return async ({ input, output, expectedOutput }) => {
    const score = await evaluator({ ...params, input, output, expected: expectedOutput });
    return { name: score.name, value: score.score ?? 0, metadata: score.metadata };
  };
}
