import assert from "node:assert/strict";

/** That `count` traces of a root and a leaf below it are stored, and nothing else. */
export async function assertStored(server, key, count = 1) {
  assert.equal(await server.waitFor(key, 2 * count), 2 * count);
  const rows = await server.list(key);
  const roots = new Map(rows.filter(({ name }) => name === "root").map((row) => [row.trace_id, row]));
  assert.equal(roots.size, count);
  const leaves = rows.filter(({ name }) => name === "leaf");
  assert.equal(leaves.length, count);
  for (const { trace_id, parent } of leaves) {
    assert.equal(parent, roots.get(trace_id).span_id);
  }
}
