/** The backend of a host for which there is no binary: everything is accepted, nothing is recorded. */
import type { Backend, Settings } from "./backend.js";
import { randomDigits } from "./host.js";

const SETTINGS: Settings = {
  enabled: false,
  public_key: "",
  base_url: null,
  environment: null,
  release: null,
  sample_rate: 0,
  destination: "",
  langfuse: false,
  media: false,
  prompt_ttl: 0,
};

const REPORT = JSON.stringify({ complete: true, delivered: 0, dropped: 0, pending: 0, unconfirmed: 0, destinations: [] });
const NO_SERVER = JSON.stringify({ error: "tracespool has no binary for this host", kind: "failed" });

/** @param reason Why there is no other. */
export function none(reason: string): Backend {
  const settings = JSON.stringify(SETTINGS);
  const answers = new Map<number, string>();
  let last = 0;
  const ticket = (answer: string): number => {
    last += 1;
    answers.set(last, answer);
    return last;
  };
  return {
    kind: "none",
    version: () => reason,
    enter: () => undefined,
    hasMain: () => true,
    open: () => 0,
    settings: () => settings,
    find: () => [],
    release: () => undefined,
    keeps: () => false,
    end: () => true,
    hasRoom: () => true,
    refused: () => undefined,
    span: () => undefined,
    neverEnded: () => undefined,
    maskFailed: () => undefined,
    score: () => null,
    media: () => null,
    propagate: () => '{"record":"","problems":[]}',
    baggage: () => "{}",
    mediaType: () => null,
    flush: () => ticket(REPORT),
    cleanup: () => ticket(REPORT),
    prompt: () => ticket(NO_SERVER),
    writePrompt: () => ticket(NO_SERVER),
    clearPrompts: () => undefined,
    request: () => ticket(NO_SERVER),
    poll: (which) => {
      const answer = answers.get(which) ?? REPORT;
      answers.delete(which);
      return answer;
    },
    stats: () => "{}",
    notices: () => "",
    goodbye: () => "",
    traceparent: () => null,
    traceId: () => randomDigits().slice(0, 32),
    fields: () => "{}",
  };
}
