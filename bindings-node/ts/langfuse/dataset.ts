/** Datasets: the installed package's, over this client's REST client and experiments. */
import { LangfuseMedia, MEDIA } from "../internal.js";
import type { Installed } from "./installed.js";

type Manager = InstanceType<Installed["DatasetManager"]>;

const DEEPEST = 20;

/** Our media as the package's own, which it uploads. */
function converted(value: unknown, from: Installed, depth = 0): unknown {
  if (typeof value !== "object" || value === null || depth > DEEPEST) {
    return value;
  }
  if (value instanceof LangfuseMedia || (value as Record<symbol, unknown>)[MEDIA] === true) {
    const { contentBytes, contentType } = value as LangfuseMedia;
    return new from.LangfuseMedia({ source: "bytes", contentBytes, contentType } as never);
  }
  if (Array.isArray(value)) {
    return value.map((each) => converted(each, from, depth + 1));
  }
  const kind: unknown = Object.getPrototypeOf(value);
  if (kind !== Object.prototype && kind !== null) {
    return value;
  }
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, converted(member, from, depth + 1)]));
}

export function datasets(owner: object, from: Installed): Manager {
  const made = new from.DatasetManager({ langfuseClient: owner as never }) as Manager;
  const { createItem } = made;
  Object.defineProperty(made, "createItem", {
    value: (request: object) => createItem.call(made, converted(request, from) as never),
    configurable: true,
    writable: true,
  });
  return made;
}
