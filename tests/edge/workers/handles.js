// A client for each request, as applications of many tenants make them.
import { Client, withTracing } from "tracespool";
import { backend } from "tracespool/internal";

let made = 0;
let released = 0;

function watch(core) {
  const { release } = core;
  core.release = (handle) => {
    released += 1;
    release(handle);
  };
  return core;
}

let watched;

export default withTracing({
  async fetch(request, env) {
    watched ??= watch(backend());
    if (new URL(request.url).pathname === "/state") {
      globalThis.gc();
      return Response.json({ made, released });
    }
    made += 1;
    const client = new Client({ publicKey: env.LANGFUSE_PUBLIC_KEY, secretKey: env.LANGFUSE_SECRET_KEY, baseUrl: env.LANGFUSE_BASE_URL, mask: ({ data }) => data });
    client.startObservation("o").end();
    return new Response("ok");
  },
});
