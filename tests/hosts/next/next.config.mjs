import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));

export default {
  // What has a binary is loaded by Node, not bundled.
  serverExternalPackages: ["tracespool"],
  outputFileTracingRoot: root,
  turbopack: { root },
};
