// A client of its own for each test, and what it has stored.
import assert from "node:assert/strict";
import * as t from "tracespool";
import { freshKey } from "./collector.mjs";

export function fresh(server, options = {}) {
  const key = freshKey();
  const client = new t.Client({ publicKey: key, secretKey: "sk-very-secret", baseUrl: server.url, ...options });
  return {
    key,
    client,
    /** Flushes, and returns the stored observations by name. */
    async sent() {
      const report = await client.flush({ timeout: 5000 });
      assert.equal(report.complete, true, JSON.stringify(report));
      return server.observations(key);
    },
  };
}

/** What an observation says under an attribute's key; JSON is read. */
export function said(row, name) {
  const value = row.attributes[`langfuse.observation.${name}`];
  try {
    return typeof value === "string" ? JSON.parse(value) : value;
  } catch {
    return value;
  }
}

/** Collects the lines that are told while `work` runs. */
export async function lines(work) {
  const told = [];
  t.setLogger({ warn: (line) => told.push(line), error: (line) => told.push(line) });
  try {
    await work();
  } finally {
    t.setLogger(console);
  }
  return told;
}
