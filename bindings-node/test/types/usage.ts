// Compiled, never run: what applications write for @langfuse/tracing and @langfuse/client type-checks against this package.
import {
  ChatPromptClient,
  Client,
  type LangfuseGeneration,
  type LangfuseObservation,
  type LangfuseSpan,
  type Report,
  TextPromptClient,
  createTraceId,
  getActiveTraceId,
  observe,
  propagateAttributes,
  startActiveObservation,
  startObservation,
  updateActiveObservation,
} from "tracespool";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_proof: Same<A, B>): void => undefined;

const span = startObservation("span", { input: 1, metadata: { a: 1 } });
same<typeof span, LangfuseSpan>(true);
const generation = span.startObservation("call", { model: "gpt-4", usageDetails: { input: 1 } }, { asType: "generation" });
same<typeof generation, LangfuseGeneration>(true);
generation.update({ output: "x", completionStartTime: new Date() }).end();
span.update({ output: 1 }).end(new Date());
const any: LangfuseObservation = generation;
const id: string = any.id + any.traceId + any.otelSpan.spanContext().spanId;

const number = startActiveObservation("sync", (active) => {
  active.update({ input: id });
  return 5;
});
same<typeof number, number>(true);
const promise = startActiveObservation(
  "async",
  async (active) => {
    active.update({ model: "m", modelParameters: { temperature: 1 } });
    return "text";
  },
  { asType: "generation", endOnExit: false, startTime: new Date(), parentSpanContext: { traceId: id, spanId: id, traceFlags: 1 } },
);
same<typeof promise, Promise<string>>(true);

const traced = observe(async (a: number, b?: string) => `${a}${b}`, { name: "n", asType: "tool", captureInput: false });
same<typeof traced, (a: number, b?: string) => Promise<string>>(true);
same<ReturnType<typeof createTraceId>, Promise<string>>(true);
same<ReturnType<typeof getActiveTraceId>, string | undefined>(true);
updateActiveObservation({ output: 1 });
updateActiveObservation({ model: "m" }, { asType: "generation" });
const inside = propagateAttributes({ userId: "u", tags: ["a"], metadata: { k: "v" }, prompt: { name: "p", version: 1 } }, () => true);
same<typeof inside, boolean>(true);

// @ts-expect-error a span has no model
startObservation("span", { model: "m" });
// @ts-expect-error no such type
startObservation("span", {}, { asType: "llm" });
// @ts-expect-error no such option
new Client({ public_key: "x" });

export async function prompts(client: Client): Promise<void> {
  const text = await client.prompt.get("name", { label: "production", fallback: "x" });
  same<typeof text, TextPromptClient>(true);
  const chat = await client.prompt.get("name", { type: "chat", fallback: [{ role: "user", content: "x" }] });
  same<typeof chat, ChatPromptClient>(true);
  client.startObservation("call", { prompt: text }, { asType: "generation" }).end();
  const report: Report = await client.flush({ timeout: 1000 });
  client.score({ name: "s", value: 1, traceId: "t" });
  client.score.activeTrace({ name: "s", value: report.delivered });
  await using scoped = new Client({ publicKey: "p", secretKey: "s", mask: ({ data }) => data });
  scoped.observe((x: number) => x)(5);
}
