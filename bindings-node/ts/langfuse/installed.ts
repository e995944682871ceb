/** The installed `@langfuse/client`, for datasets, experiments and the REST client. Loaded when one of these is used first. */
import { createRequire } from "node:module";
import { join } from "node:path";

import { require } from "../internal.js";

/** @ts-ignore: where it is not installed this is any. */
import type * as Package from "@langfuse/client";

export type Installed = typeof Package;

let loaded: Installed | undefined;

/** Throws where it is not installed. @param what What it is needed for. */
export function installed(what: string): Installed {
  if (loaded !== undefined) {
    return loaded;
  }
  try {
    loaded = require("@langfuse/client") as Installed;
  } catch (error) {
    // A package manager may hide from us what the application has.
    loaded = fromApplication();
    if (loaded === undefined) {
      const missing = (error as { code?: string }).code === "MODULE_NOT_FOUND";
      const reason = missing ? "is not installed" : `cannot be loaded (${String(error).split("\n")[0]})`;
      throw new Error(`${what} needs the package @langfuse/client 5, which ${reason}: npm install @langfuse/client@5`, { cause: error });
    }
  }
  return loaded;
}

function fromApplication(): Installed | undefined {
  try {
    return createRequire(join(process.cwd(), "package.json"))("@langfuse/client") as Installed;
  } catch {
    return undefined;
  }
}
