/**
 * The agent: it searches, asks a tool, writes an answer and scores itself, and traces each of these steps.
 *
 * `tracing` is what `app.mjs`, `langfuse.mjs` or `untraced.mjs` made for the request: only that differs between the services.
 */
import { SHELF_SIZE, price, search } from "./knowledge.mjs";
import { NAME, cost, stream, usage } from "./model.mjs";

// What one answer sends: the agent itself, the search, the tool and the generation; a score for the generation and one
// for the trace.
const OBSERVATIONS = 4;
const SCORES = 2;

const SYSTEM = "You are the support desk of a small shop. Answer from the documents alone; say so when they do not help.";

/** Answers `question` for `user`. */
export function answer(tracing, user, question) {
  return tracing.propagateAttributes({ userId: user, sessionId: `${user}-today`, tags: ["demo"] }, () =>
    tracing.startActiveObservation(
      "answer",
      async (agent) => {
        agent.update({ input: { question } });
        const documents = tracing.startActiveObservation(
          "search",
          (step) => {
            step.update({ input: question });
            const found = search(question);
            step.update({ output: found, metadata: { shelf: SHELF_SIZE } });
            return found;
          },
          { asType: "retriever" },
        );
        const amount = tracing.startActiveObservation(
          "price",
          (step) => {
            step.update({ input: documents.map((document) => document.id) });
            const found = price(documents);
            step.update({ output: found });
            return found;
          },
          { asType: "tool" },
        );
        const text = await write(tracing, [
          { role: "system", content: SYSTEM },
          { role: "user", content: `${documents.map((document) => document.text).join("\n")}\n${question}` },
        ]);
        agent.update({ output: { answer: text, price: amount } });
        tracing.scoreTrace(agent, { name: "helpful", value: 1, dataType: "NUMERIC", comment: "answered from documents" });
        return { answer: text, price: amount, observations: OBSERVATIONS, scores: SCORES };
      },
      { asType: "agent" },
    ),
  );
}

/** The generation: streams from the model and scores what came. */
function write(tracing, messages) {
  return tracing.startActiveObservation(
    "write",
    async (generation) => {
      generation.update({ model: NAME, modelParameters: { temperature: 0, max_tokens: 256 }, input: messages });
      let completionStartTime;
      let text = "";
      for await (const chunk of stream(messages)) {
        completionStartTime ??= new Date();
        text += chunk;
      }
      const tokens = usage(messages, text);
      generation.update({
        output: { role: "assistant", content: text.trim() },
        completionStartTime,
        usageDetails: tokens,
        costDetails: cost(tokens),
      });
      tracing.scoreObservation(generation, { name: "grounded", value: 0.9, dataType: "NUMERIC" });
      return text.trim();
    },
    { asType: "generation" },
  );
}
