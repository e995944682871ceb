// The client is made while the script is evaluated, where a host grants neither time nor randomness.
import { env } from "cloudflare:workers";
import { Client, withTracing } from "tracespool/full";

const client = new Client({ publicKey: env.LANGFUSE_PUBLIC_KEY, secretKey: env.LANGFUSE_SECRET_KEY, baseUrl: env.LANGFUSE_BASE_URL });

export default withTracing({
  async fetch() {
    const traceId = client.createTraceId();
    client.score({ name: "first", value: 1, traceId });
    client.score({ name: "second", value: 1, traceId });
    client.startObservation("o").end();
    return new Response("ok");
  },
});
