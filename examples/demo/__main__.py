"""Runs the services one after another under the same load and prints what each came to."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from examples.demo import load
from examples.demo.collector import ROOT, Collector, Stored
from examples.demo.server import Server
from examples.demo.table import RSS_ALLOWANCE_KIB, Run, broken_promises, table
from examples.demo.worker import Bundle, Worker, first_requests

STACKS = {
    "python": {
        "untraced": "examples.fastapi_app.app:app",
        "tracespool": "examples.fastapi_app.app:app",
        "langfuse": "examples.leaky_langfuse_app.app:app",
    },
    "node": {
        "untraced": "examples/express_app/app.mjs",
        "tracespool": "examples/express_app/app.mjs",
        "langfuse": "examples/express_app/langfuse.mjs",
    },
    # In workerd.
    "edge": {name: f"{name}.mjs" for name in ("untraced", "tracespool", "langfuse")},
}
VERBS = {"python": "demo", "node": "demo-node", "edge": "demo-edge"}
SERVICES = ("untraced", "tracespool", "langfuse")
# How long to wait for what is still on its way after the last answer. Both libraries send at least every five
# seconds; when nothing new has arrived for this long, nothing more will.
QUIET_SECONDS = 7.0
SETTLE_LIMIT = 40.0
# Threads and memory are compared at rest: this long after the last of it was stored, for every service alike.
REST_SECONDS = 1.0


def main() -> int:
    options = arguments()
    terminal = sys.stdout.isatty() and not os.environ.get("CI")
    shutil.rmtree(options.data, ignore_errors=True)
    collector = Collector(options.data, options.listen)
    stay = terminal and not options.exit
    try:
        print(f"collector  {collector.url}", flush=True)
        who = "one key" if options.users == 1 else f"{options.users} users"
        print(f"load       {options.requests:,} requests of {who}, {options.concurrency} at a time\n", flush=True)
        runs = [measure(name, options, collector, terminal) for name in options.services]
        broken = report(runs, options)
        print(f"\nthe traces  {collector.url}", flush=True)
        if stay:
            print("            the collector goes on until Ctrl-C")
            collector.wait()
        return 1 if broken else 0
    except KeyboardInterrupt:
        return 0
    finally:
        collector.stop()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--warm", type=int, default=1000, help="requests before memory is first compared")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--limit", type=float, default=40.0, help="seconds of load after which a service is cut off")
    parser.add_argument("--stack", choices=STACKS, default="python")
    parser.add_argument("--services", type=lambda text: text.split(","), default=list(SERVICES))
    parser.add_argument("--data", type=Path, default=ROOT / "demo-data")
    parser.add_argument("--listen", default="127.0.0.1:0", help="where the collector listens")
    parser.add_argument("--exit", action="store_true", help="end after the table, also on a terminal")
    options = parser.parse_args()
    unknown = set(options.services) - set(SERVICES)
    if unknown or options.warm > options.requests:
        parser.error(f"no such service: {unknown}" if unknown else "--warm is more than --requests")
    return options


def measure(name: str, options: argparse.Namespace, collector: Collector, terminal: bool) -> Run:
    """One service from start to stop."""
    people = load.users(name, options.users)
    app, log, more = STACKS[options.stack][name], options.data / f"{name}.log", {}
    if options.stack == "edge":
        bundle = Bundle(app, options.data / name)
        more = {"script and module, gzip": f"{sum(bundle.gzip.values()) / 1024:.1f} KiB"} | first_requests(bundle, name, collector, log)
        server: Server = Worker(bundle, collector.url, log, tracing=name != "untraced")
    else:
        server = Server(app, collector.url, log, tracing=name != "untraced")
    progress = Progress(name, options.requests, terminal)
    before = collector.stored()
    try:
        start = server.stats()
        outcome, warm = load.Outcome(), None
        for part in (range(options.warm), range(options.warm, options.requests)):
            limit = options.limit - outcome.seconds
            outcome.add(asyncio.run(load.run(server.port, people, part, options.concurrency, limit, progress.show)))
            settle(name, outcome, before, collector)
            time.sleep(REST_SECONDS)
            progress.before = len(outcome.latencies)
            if progress.before < part.stop:
                break
            warm = warm or server.stats()
        progress.done(len(outcome.latencies), outcome.seconds)
        end = server.stats()
    finally:
        stop_seconds = server.stop()
    if "cpu_seconds" in end:
        more |= cpu(warm, end, len(outcome.latencies) - options.warm)
    return Run(
        name=name,
        outcome=outcome,
        stored=of_these(collector, people),
        threads=end["threads"],
        rss_start=start["rss_kib"],
        rss_warm=warm and warm["rss_kib"],
        rss_end=end["rss_kib"],
        stop_seconds=stop_seconds,
        more=more,
    )


def cpu(warm: dict[str, Any] | None, end: dict[str, Any], requests: int) -> dict[str, str]:
    """What a request costs the process, once it is warm."""
    if warm is None or requests <= 0:
        return {"CPU time per request": "not reached"}
    return {"CPU time per request": f"{(end['cpu_seconds'] - warm['cpu_seconds']) * 1000 / requests:.2f} ms"}


def settle(name: str, outcome: load.Outcome, before: Stored, collector: Collector) -> None:
    """Waits until as much has come as was sent, or nothing new arrives."""
    if name == "untraced":
        return
    wanted = Stored(
        before.observations + outcome.observations.total(), before.scores + outcome.scores.total()
    )
    deadline = time.monotonic() + SETTLE_LIMIT
    last, since = collector.stored(), time.monotonic()
    while last != wanted and time.monotonic() < deadline and time.monotonic() - since < QUIET_SECONDS:
        time.sleep(0.1)
        now = collector.stored()
        if now != last:
            last, since = now, time.monotonic()


def of_these(collector: Collector, people: list[load.User]) -> Stored:
    """What the collector holds of these users, each in the project of his own key."""
    found = [collector.stored(user.public_key) for user in people]
    return Stored(sum(stored.observations for stored in found), sum(stored.scores for stored in found))


def report(runs: list[Run], options: argparse.Namespace) -> list[str]:
    """Prints the table and says which promises were kept."""
    # A few hundred requests do not yet fill the pools of Python's allocator: growth then says nothing.
    judge_memory = options.warm >= 1000
    print("\n" + table(runs, options.warm, traced={"tracespool", "langfuse"}))
    if any(len(run.outcome.latencies) < options.requests for run in runs):
        print(f"\nA service is given {options.limit:.0f} s; LIMIT=600 make {VERBS[options.stack]} waits for the slow one.")
    broken = broken_promises(runs, options.requests, judge_memory, options.stack)
    print()
    for line in broken:
        print(f"BROKEN  {line}")
    if not broken and {"untraced", "tracespool"} <= set(options.services):
        print(f"Kept: {kept(options.stack, judge_memory)}.")
    return broken


def kept(stack: str, judged_memory: bool) -> str:
    """The promises that a run without a broken one has kept."""
    if stack == "edge":
        within = f", memory within {RSS_ALLOWANCE_KIB[stack] // 1024} MiB of untraced" if judged_memory else ""
        return f"every request answered, every observation stored{within}"
    return "every observation and score stored, one thread more than untraced" + (", no memory growth" if judged_memory else "")


class Progress:
    """One line that says how far a service is: rewritten on a terminal, printed by fifths elsewhere."""

    def __init__(self, name: str, total: int, terminal: bool) -> None:
        self.before = 0
        self._name, self._total, self._terminal = name, total, terminal
        self._shown = 0.0
        self._fifth = 0

    def show(self, done: int) -> None:
        done += self.before
        now = time.monotonic()
        if self._terminal and now - self._shown > 0.1:
            self._shown = now
            print(f"\r{self._name:<10} {done:>6,} of {self._total:,}", end="", flush=True)
        elif not self._terminal and done * 5 // self._total > self._fifth and done < self._total:
            self._fifth = done * 5 // self._total
            print(f"{self._name:<10} {done:>6,} of {self._total:,}", flush=True)

    def done(self, count: int, seconds: float) -> None:
        start = "\r" if self._terminal else ""
        cut = "" if count == self._total else ", cut off"
        print(f"{start}{self._name:<10} {count:>6,} of {self._total:,} in {seconds:.1f} s{cut}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
