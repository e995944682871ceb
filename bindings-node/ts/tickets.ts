/** Waiting for the core's answers: one timer for all that wait. While somebody waits it keeps the process alive; it is never a thread. */
import type { Backend } from "./backend.js";
import { attempt } from "./log.js";

/** How often tickets are looked at, at first and at last (milliseconds). */
const FIRST = 1;
const LAST = 20;
/** A ticket answers by its own deadline; this much later the wait is given up all the same. */
const SLACK = 1000;

interface Waiting {
  readonly backend: Backend;
  readonly ticket: number;
  readonly until: number;
  readonly resolve: (answer: string | null) => void;
}

let waiting: Waiting[] = [];
let timer: NodeJS.Timeout | undefined;
let pause = FIRST;

/**
 * What a ticket waited for; `null` where it never answered.
 *
 * @param timeout Its own deadline, in milliseconds from now.
 */
export function arrival(backend: Backend, ticket: number, timeout: number): Promise<string | null> {
  const answer = backend.poll(ticket);
  if (answer !== null) {
    return Promise.resolve(answer);
  }
  return new Promise((resolve) => {
    waiting.push({ backend, ticket, until: performance.now() + timeout + SLACK, resolve });
    pause = FIRST;
    clearTimeout(timer);
    timer = setTimeout(look, pause);
  });
}

function look(): void {
  const now = performance.now();
  const rest: Waiting[] = [];
  const looked = waiting;
  waiting = [];
  for (const each of looked) {
    const answer = attempt("an answer of the core", () => each.backend.poll(each.ticket)) ?? null;
    if (answer !== null || now > each.until) {
      each.resolve(answer);
    } else {
      rest.push(each);
    }
  }
  waiting = rest.concat(waiting);
  pause = Math.min(LAST, pause * 1.5);
  timer = waiting.length > 0 ? setTimeout(look, pause) : undefined;
}
