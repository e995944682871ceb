/** The baseline: the same verbs as tracing, and nothing behind them. */
const nothing = { update: () => nothing };

export const untraced = {
  startActiveObservation: (_name, body) => body(nothing),
  propagateAttributes: (_attributes, body) => body(),
  scoreTrace: () => {},
  scoreObservation: () => {},
};
