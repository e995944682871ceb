/** Next calls it once, before the first request. */
export async function register() {
  if (process.env.NEXT_RUNTIME !== "nodejs") return;
  const { startActiveObservation } = await import("../tracing.mjs");
  startActiveObservation("register", (step) => step.update({ input: { runtime: process.env.NEXT_RUNTIME } }));
}
