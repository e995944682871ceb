// This package, as the twins use it.
import { Client, startActiveObservation } from "tracespool";
import { CallbackHandler } from "tracespool/langchain";
import { observeOpenAI } from "tracespool/openai";

export async function start() {
  const client = new Client();
  return { api: { CallbackHandler, observeOpenAI }, startActive: startActiveObservation, finish: () => client.flush({ timeout: 10_000 }) };
}
