/** The two libraries under one face: the same program runs on either. */
const SECRET = "sk-lf-bench";

/**
 * @param {"tracespool" | "langfuse" | "untraced"} name
 * @param {{publicKey: string, flushAt?: number}} options `LANGFUSE_BASE_URL` says where to.
 */
export async function open(name, options) {
  if (name === "untraced") return untraced();
  return name === "tracespool" ? tracespool(options) : langfuse(options);
}

async function tracespool(options) {
  const { Client, startActiveObservation, startObservation, stats } = await import("tracespool");
  const client = new Client({ ...options, secretKey: SECRET });
  return {
    startActiveObservation,
    startObservation,
    stats: () => stats(),
    /** Until it is delivered, or the time is over; what came of it. */
    flush: (timeout = 30_000) => client.flush({ timeout }),
    shutdown: (timeout = 30_000) => client.shutdown({ timeout }),
  };
}

async function langfuse(options) {
  const { startActiveObservation, startObservation } = await import("@langfuse/tracing");
  const provider = await register(options);
  const told = async (promise) => {
    try {
      await promise;
      return null;
    } catch (error) {
      return String(error);
    }
  };
  return {
    startActiveObservation,
    startObservation,
    stats: () => null,
    flush: () => told(provider.forceFlush()),
    shutdown: () => told(provider.shutdown()),
  };
}

/** What its documentation asks for: a provider with its processor, registered for the whole process. */
export async function register(...processors) {
  const { LangfuseSpanProcessor } = await import("@langfuse/otel");
  const { NodeTracerProvider } = await import("@opentelemetry/sdk-trace-node");
  const provider = new NodeTracerProvider({
    spanProcessors: processors.map((options) => new LangfuseSpanProcessor({ ...options, secretKey: SECRET })),
  });
  provider.register();
  return provider;
}

function untraced() {
  const nothing = { update: () => nothing, end: () => {}, startObservation: () => nothing };
  return {
    startActiveObservation: (_name, body) => body(nothing),
    startObservation: () => nothing,
    stats: () => null,
    flush: async () => null,
    shutdown: async () => null,
  };
}
