/** Waiting for the core's answers: stands in for `../tickets.ts`. Whoever waits drives, within his own request. */
import type { Backend } from "../backend.js";
import { Pump } from "./drive.js";
import { currentWaitUntil } from "./life.js";
import { driverOf } from "./native.js";

/** A ticket answers by its own deadline; this much later the wait is given up all the same. */
const SLACK = 1000;

/**
 * What a ticket waited for; `null` where it never answered.
 *
 * @param timeout Its own deadline, in milliseconds from now.
 */
export async function arrival(backend: Backend, ticket: number, timeout: number): Promise<string | null> {
  let answer = backend.poll(ticket);
  const driver = driverOf(backend);
  if (answer === null && driver !== undefined) {
    const pump = new Pump(driver);
    await pump.run(() => (answer = backend.poll(ticket)) !== null, performance.now() + timeout + SLACK);
    if (pump.busy) {
      // What it has begun and nobody waits for any more: an answer that still comes saves sending it again.
      currentWaitUntil()?.(pump.landed());
    }
  }
  return answer;
}
