/** Settings of the environment, wherever the host keeps them. */

/** Beyond `LANGFUSE_` and `TRACESPOOL_`: what the core reads. */
const ALSO = /^(LANGFUSE_|TRACESPOOL_|OTEL_)|_SHA$|^(RELEASE|SENTRY_RELEASE|GIT_COMMIT|SOURCE_VERSION|CI_|VERCEL_|RENDER_|CF_PAGES_|HEROKU_)/;

/** What an entry or a handler has been given, the latest last. */
const given: Record<string, string> = {};

/** Takes the texts among a Worker's bindings. */
export function take(env: unknown): void {
  if (typeof env !== "object" || env === null) {
    return;
  }
  for (const name of Object.keys(env)) {
    const value = ALSO.test(name) ? (env as Record<string, unknown>)[name] : undefined;
    if (typeof value === "string") {
      given[name] = value;
    }
  }
}

function own(): Record<string, string | undefined> | undefined {
  const host = globalThis as { process?: { env?: Record<string, string | undefined> }; Deno?: { env: { get(name: string): string | undefined } } };
  return host.process?.env;
}

/** One variable; a host that asks for a permission, and is not given it, has none. */
export function read(name: string): string | undefined {
  const known = given[name];
  if (known !== undefined) {
    return known;
  }
  try {
    const value = own()?.[name];
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

/** All that the core may ask for. */
export function all(): Record<string, string> {
  const found: Record<string, string> = {};
  try {
    const env = own() ?? {};
    for (const name of Object.keys(env)) {
      const value = ALSO.test(name) ? env[name] : undefined;
      if (typeof value === "string") {
        found[name] = value;
      }
    }
  } catch {
    // Not allowed to read it as a whole.
  }
  return { ...found, ...given };
}
