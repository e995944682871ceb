/** Finds the module: stands in for `../native.ts`. Each entry brings it in the one way that its host allows. */
import type { Backend } from "../backend.js";
import { say } from "../log.js";
import { none } from "../none.js";
import { Driver, Pump } from "./drive.js";
import { all } from "./environment.js";
import { unref } from "./host.js";
import { currentWaitUntil, lives, visits } from "./life.js";
import { type Core, type Wheel, over } from "./wasm.js";

/** What a request that nobody ends by hand may take after its response (milliseconds): two answers of 503, and then some. */
export const SETTLE = 10_000;

let instantiate: (() => Core) | undefined;
let whole = false;
let page: Wheel["page"];

/** Says where the module is; nothing is instantiated before something is traced. The whole one stays where both are brought. */
export function bring(how: () => Core, isWhole: boolean, ofPage?: Wheel["page"]): void {
  if (isWhole || !whole) {
    instantiate = how;
    whole = isWhole;
    page = ofPage;
  }
}

/** A backend that carries what drives it. */
export interface Driven extends Backend {
  readonly driver: Driver;
}

export function driverOf(backend: Backend): Driver | undefined {
  return (backend as Partial<Driven>).driver;
}

/** The one pump of a host whose timers last. */
class Background {
  private pump: Pump | undefined;

  constructor(private readonly driver: Driver) {}

  ring(): void {
    if (this.pump !== undefined) {
      this.pump.wake();
      return;
    }
    const pump = (this.pump = new Pump(this.driver));
    // Not at once: the caller is in the middle of something.
    void Promise.resolve().then(() => pump.run(() => this.over(), Number.POSITIVE_INFINITY, unref));
  }

  /** From this very moment on whoever rings begins another pump: one that has ended would not be woken. */
  private over(): boolean {
    if (!this.driver.isIdle()) {
      return false;
    }
    this.pump = undefined;
    return true;
  }
}

/** On hosts that stop with the request: what a trace's end sets going where nobody else does. */
class AtEnd {
  /** Until when a pump gathers what others add; it may be gone by then, together with its request. */
  private until = 0;

  constructor(
    private readonly driver: Driver,
    private readonly flush: () => number,
    private readonly answered: (ticket: number) => boolean,
  ) {}

  rooted(): void {
    if (visits.getStore()?.open === true) {
      return;
    }
    const waitUntil = currentWaitUntil();
    const now = performance.now();
    if (waitUntil === undefined || now < this.until) {
      return;
    }
    this.until = now + GATHER;
    waitUntil(this.send());
  }

  private async send(): Promise<void> {
    await new Promise((resolve) => {
      setTimeout(resolve, GATHER);
    });
    this.until = 0;
    const ticket = this.flush();
    let over = false;
    await new Pump(this.driver).run(() => (over ||= this.answered(ticket)), performance.now() + SETTLE + 100);
  }
}

/** So long a trace's end waits for others of the same request, so that they share a POST (milliseconds). */
const GATHER = 50;

function broken(error: unknown): Backend {
  const reason = error instanceof Error ? error.message : String(error);
  say("error", `nothing is traced any more: the WebAssembly module failed (${reason})`);
  return none(reason);
}

/** The module's backend, or one that records nothing and says why. */
export function connect(): Backend {
  if (instantiate === undefined) {
    return none("no WebAssembly module was given; call setModule() of tracespool/slim first");
  }
  try {
    const driver = new Driver(instantiate(), page !== undefined);
    const background = new Background(driver);
    const wheel: Wheel & { end?: AtEnd } = {
      texts: driver.texts,
      page,
      ring: () => {
        if (lives()) {
          background.ring();
        }
      },
      rooted: () => wheel.end?.rooted(),
    };
    const backend: Driven = { ...over(wheel, all, broken), driver };
    if (!lives()) {
      wheel.end = new AtEnd(
        driver,
        () => backend.flush(0, SETTLE, false),
        (ticket) => backend.poll(ticket) !== null,
      );
    }
    return backend;
  } catch (error) {
    return none(error instanceof Error ? error.message : String(error));
  }
}
