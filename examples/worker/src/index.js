// A Worker that answers a question and traces how. What it traced is sent after the response, in one request.
import { propagateAttributes, startActiveObservation, withTracing } from "tracespool";

/** Stands for a call of a model. */
async function answer(question) {
  await new Promise((resolve) => setTimeout(resolve, 20));
  return { text: `You asked: ${question}`, usage: { input: question.length, output: 3 } };
}

export default withTracing({
  async fetch(request) {
    const url = new URL(request.url);
    const question = url.searchParams.get("q") ?? "Who are you?";
    return propagateAttributes({ userId: url.searchParams.get("user") ?? "anonymous", tags: ["worker"] }, () =>
      startActiveObservation("ask", async (root) => {
        root.update({ input: question });
        const found = await startActiveObservation(
          "model",
          async (generation) => {
            const { text, usage } = await answer(question);
            generation.update({ model: "parrot-1", input: question, output: text, usageDetails: usage });
            return text;
          },
          { asType: "generation" },
        );
        root.update({ output: found });
        return Response.json({ answer: found, trace: root.traceId });
      }),
    );
  },
});
