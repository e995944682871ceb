/** A language model that needs no network: seeded words, streamed in chunks after a short wait. */
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { dice, words } from "./knowledge.mjs";

export const NAME = "demo-model-1";
// What a caller waits before the first token. Short, so that the cost of tracing is not hidden behind it.
const FIRST_TOKEN_MS = 5;
const CHUNKS = 6;
const WORDS_PER_CHUNK = 8;

/** The answer to `messages`, chunk by chunk: the same answer for the same messages. */
export async function* stream(messages) {
  const last = messages.at(-1).content;
  const roll = dice([...last].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) >>> 0, 7));
  await sleep(FIRST_TOKEN_MS);
  for (let chunk = 0; chunk < CHUNKS; chunk += 1) {
    yield `${words(roll, WORDS_PER_CHUNK)} `;
    await turn();
  }
}

/** Tokens as the vendors count them, near enough: one for four characters. */
export function usage(messages, answer) {
  const input = Math.floor(messages.reduce((sum, message) => sum + message.content.length, 0) / 4);
  const output = Math.floor(answer.length / 4);
  return { input, output, total: input + output };
}

/** What those tokens cost. */
export function cost({ input, output }) {
  return { input: input * 0.15e-6, output: output * 0.6e-6, total: input * 0.15e-6 + output * 0.6e-6 };
}
