// The applications that are bundled, as somebody writes them who has read the documentation.

/** A Worker: two observations, nested, in each request. */
export const WORKER = `
import { startActiveObservation, startObservation, withTracing } from "tracespool";

export default withTracing({
  async fetch(request) {
    return startActiveObservation("root", async (root) => {
      root.update({ input: request.url });
      await new Promise((resolve) => setTimeout(resolve, 1));
      startObservation("leaf", { output: "done" }).end();
      return new Response(root.traceId);
    });
  },
});
`;

/** A page whose reader gives a thumb up. */
export const PAGE = `
import { Client } from "tracespool";

const client = new Client({ publicKey: document.documentElement.id, baseUrl: location.origin });
client.score({ name: "thumbs", value: 1, traceId: "0af7651916cd43dd8448eb211c80319c" });
const report = await client.flush();
await fetch("/said", { method: "POST", body: JSON.stringify(report) });
`;

/** A program of Node's. */
export const PROGRAM = `
import { flushAll, startActiveObservation, startObservation } from "tracespool";

await startActiveObservation("root", async () => {
  await new Promise((resolve) => setTimeout(resolve, 1));
  startObservation("leaf").end();
});
const report = await flushAll({ timeout: 5000 });
if (!report.complete) throw new Error(JSON.stringify(report));
`;
