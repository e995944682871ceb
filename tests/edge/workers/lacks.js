// What only the whole module does, asked of the one that traces.
import { Client, inject, propagateAttributes, setLogger, startActiveObservation, stats, withTracing } from "tracespool";

const lines = [];
const said = (line) => lines.push(line);
setLogger({ warn: said, error: said });

export default withTracing({
  async fetch(request, env) {
    const client = new Client();
    client.score({ name: "s", value: 1, traceId: "0af7651916cd43dd8448eb211c80319c" });
    const prompt = await client.prompt.get("greeting", { fallback: "hello" });
    const refused = await client.prompt.get("greeting").catch((error) => String(error));
    const headers = {};
    await propagateAttributes({ userId: "u", asBaggage: true }, () =>
      startActiveObservation("root", (root) => {
        root.update({ input: `data:image/png;base64,${btoa("x".repeat(400))}` });
        inject(headers);
      }),
    );
    const other = new Client({ otlpEndpoint: env.LANGFUSE_BASE_URL });
    other.startObservation("nowhere").end();
    const report = await client.flush();
    return Response.json({ lines, prompt: prompt.prompt, refused, headers, delivered: stats().observations.delivered, other: other.enabled, report });
  },
});
