/** What this process and its main thread have used so far. */
import { readdirSync, readFileSync } from "node:fs";

const still = new Int32Array(new SharedArrayBuffer(4));

/** Microseconds that the main thread has been on a processor. */
export function mainThread() {
  // The kernel adds a running thread's time up when it stops running: a moment's sleep makes the figure exact.
  Atomics.wait(still, 0, 0, 0.05);
  const [nanoseconds] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, "latin1").split(" ");
  return Number(nanoseconds) / 1000;
}

/** Microseconds of all threads together. */
export function wholeProcess() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Threads by name. */
export function threads() {
  const found = {};
  for (const task of readdirSync("/proc/self/task")) {
    const name = readFileSync(`/proc/self/task/${task}/comm`, "utf8").trim();
    found[name] = (found[name] ?? 0) + 1;
  }
  return found;
}

/** Resident memory in KiB, after the garbage is gone where it may be collected (`--expose-gc`). */
export function residentKib() {
  for (let turn = 0; turn < 4; turn += 1) globalThis.gc?.();
  return process.memoryUsage.rss() / 1024;
}

/** The median of numbers. */
export function median(values) {
  const ordered = values.toSorted((one, other) => one - other);
  const middle = ordered.length >> 1;
  return ordered.length % 2 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2;
}
