/** The names of `@langfuse/client`. Prompts, scores and media are ours; datasets, experiments and `api` those of the installed package. */
export {
  type ChatMessageOrPlaceholder,
  type CreateChatPrompt as CreateChatPromptBodyWithPlaceholders,
  type LangchainMessagesPlaceholder,
  type LangfuseMediaParams,
  type LangfuseMediaReferenceParams,
  type ScoreManager,
  ChatPromptClient,
  LangfuseMedia,
  LangfuseMediaReference,
  MediaManager,
  PromptManager,
  TextPromptClient,
} from "../internal.js";
export { DatasetManager, ExperimentManager, LangfuseClient, type LangfuseClientParams } from "../langfuse/client.js";
export { RegressionError, RunnerContext, createEvaluatorFromAutoevals } from "../langfuse/runner.js";
/** @ts-ignore: where it is not installed these are any. */
export type {
  Evaluation,
  Evaluator,
  EvaluatorParams,
  ExperimentItem,
  ExperimentItemResult,
  ExperimentParams,
  ExperimentResult,
  ExperimentTask,
  ExperimentTaskParams,
  FetchedDataset,
  LangfuseMediaResolveMediaReferencesParams,
  LinkDatasetItemFunction,
  RegressionErrorMessageOptions,
  RegressionErrorMetricOptions,
  RegressionErrorOptions,
  RunEvaluator,
  RunEvaluatorParams,
  RunExperimentOnDataset,
  RunnerContextExperimentParams,
  RunnerContextOptions,
} from "@langfuse/client";

/** What a message of a chat prompt is. */
export enum ChatMessageType {
  ChatMessage = "chatmessage",
  Placeholder = "placeholder",
}
