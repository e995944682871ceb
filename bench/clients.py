"""What 200 clients of 200 keys cost: threads, memory, time to make one, and what they add to an observation."""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

from bench import rounds
from bench.client import LIBRARIES, client_type, flush
from examples.agent.process import resident_kib, threads
from examples.demo.collector import Collector

ROUNDS, CLIENTS = 5, 200
BLOCKS, PER_BLOCK = 20, 60


def observation_cost(client: Any) -> float:
    """Microseconds for one observation: the median of blocks, which stay below langfuse's queue."""
    blocks = []
    for _ in range(BLOCKS):
        began = time.perf_counter()
        for _ in range(PER_BLOCK):
            with client.start_as_current_observation(name="step", input={"question": "where is it"}) as step:
                step.update(output={"answer": "here"})
        blocks.append((time.perf_counter() - began) / PER_BLOCK * 1e6)
    return statistics.median(blocks)


def work(library: str, tag: str) -> dict[str, Any]:
    """One process: the first client, then 200 more."""
    make = client_type(library)
    first = make(public_key=f"pk-lf-{tag}-first", secret_key="sk-lf-bench")
    observation_cost(first)
    flush(library, first)
    one = observation_cost(first)
    flush(library, first)
    before_threads, before_rss = sum(threads().values()), resident_kib()

    new, known, clients = [], [], []
    for number in range(CLIENTS):
        began = time.perf_counter()
        clients.append(make(public_key=f"pk-lf-{tag}-{number}", secret_key="sk-lf-bench"))
        new.append(time.perf_counter() - began)
    for number in range(CLIENTS):
        began = time.perf_counter()
        make(public_key=f"pk-lf-{tag}-{number}", secret_key="sk-lf-bench")
        known.append(time.perf_counter() - began)
    made_rss = resident_kib()
    for client in clients:
        with client.start_as_current_observation(name="once"):
            pass
    if library == "langfuse":
        clients[0].flush()  # flushes the processors of all of them
    else:
        for client in clients:
            flush(library, client)
    after_threads, after_rss = sum(threads().values()), resident_kib()
    many = observation_cost(first)
    flush(library, first)
    return {
        "threads": after_threads - before_threads,
        "made": (made_rss - before_rss) / CLIENTS,
        "used": (after_rss - before_rss) / CLIENTS,
        "new": statistics.median(new) * 1e6,
        "known": statistics.median(known) * 1e6,
        "one": one,
        "many": many,
        "ratio": many / one,
    }


def main() -> int:
    collector = Collector(rounds.scratch("clients"))
    runs: dict[str, list[dict[str, Any]]] = {library: [] for library in LIBRARIES}
    try:
        for turn in range(ROUNDS):
            for library in LIBRARIES:
                runs[library].append(rounds.worker("bench.clients", library, f"{library}-{turn}", base_url=collector.url))
            print(f"round {turn + 1} of {ROUNDS}", file=sys.stderr)
    finally:
        collector.stop()
    return report(runs)


def report(runs: dict[str, list[dict[str, Any]]]) -> int:
    """The table; 1 when a promise is missed."""
    measures = [
        ("threads added", "threads", "{:.0f}", 0, "none"),
        ("memory per client, made", "made", "{:.1f} KiB", None, ""),
        ("memory per client, after its first observation", "used", "{:.1f} KiB", 8, "8 KiB"),
        ("a client for a new key", "new", "{:.1f} us", 50, "50 us"),
        ("a client for a known key", "known", "{:.2f} us", 2, "2 us"),
        ("an observation with 1 client", "one", "{:.2f} us", None, ""),
        (f"an observation with {CLIENTS + 1} clients", "many", "{:.2f} us", None, ""),
        ("the second over the first", "ratio", "{:.2f} x", 1.05, "1.05 x"),
    ]
    rows, all_kept = [], True
    for label, name, form, limit, promised in measures:
        ours, theirs = (rounds.median(runs[library], name) for library in LIBRARIES)
        kept = limit is None or ours <= limit
        all_kept = all_kept and kept
        rows.append([label, form.format(ours), form.format(theirs), f"{promised}: {rounds.verdict(kept)}" if promised else ""])
    text = rounds.table([f"{CLIENTS} clients of {CLIENTS} keys", "tracespool", "langfuse 5.0.4", "promised"], rows)
    rounds.publish("clients", text, f"Medians of {ROUNDS} interleaved processes.")
    return 0 if all_kept else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        print(json.dumps(work(sys.argv[2], sys.argv[3])))
    else:
        sys.exit(main())
