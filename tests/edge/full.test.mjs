// The module for tracing alone says what it does not do, and does what it can.
import assert from "node:assert/strict";
import { test } from "node:test";
import { collector, freshKey } from "../../bindings-node/test/collector.mjs";
import { worker } from "./host.mjs";

test("what only the whole module has is told in a line, and nothing else is lost", async () => {
  const server = await collector();
  const key = freshKey();
  const made = await worker("lacks.js", { bindings: { LANGFUSE_PUBLIC_KEY: key, LANGFUSE_SECRET_KEY: "sk", LANGFUSE_BASE_URL: server.url } });
  try {
    const { lines, prompt, refused, headers, delivered, other, report } = await (await made.dispatchFetch("http://host/")).json();
    const told = (what) => lines.filter((line) => line.includes(what) && line.includes('import "tracespool/full"')).length;
    for (const what of ["scores", "prompts", "uploads of media", "baggage", "other backends than Langfuse"]) {
      assert.equal(told(what), 1, `${what}: ${JSON.stringify(lines)}`);
    }
    assert.equal(prompt, "hello");
    assert.match(refused, /tracespool\/full/);
    assert.match(headers.traceparent, /^00-/);
    assert.doesNotMatch(headers.baggage, /user/);
    assert.deepEqual([delivered, other, report.delivered], [1, false, 1]);
    assert.equal(await server.waitFor(key, 1), 1);
  } finally {
    await made.dispose();
    await server.close?.();
  }
});
