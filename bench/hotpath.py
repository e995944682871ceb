"""What an observation costs the thread that makes it, and the process until it is delivered, beside the langfuse SDK."""

from __future__ import annotations

import gc
import json
import sys
import time
from typing import Any

from bench import rounds
from bench.client import LIBRARIES, client_type, flush, trace
from bench.sink import Sink
from bench.words import Sum, Writer, compresses

ROUNDS = 5
# Below langfuse's queue of 2,048 spans, above which it would drop; flushed after each block.
CALLS, BLOCKS, WARM_UP = 500, 4, 100
PER_CALL = 3
PROMISED = {"caller": 50, "cpu none": 30, "cpu gzip": 15}
# A caller that flushes waits for the compression too, so the promise is about the uncompressed way; both are shown.


def work(library: str, public_key: str) -> dict[str, Any]:
    """One process: blocks of calls, each flushed. Payloads are made outside the measured time."""
    client = client_type(library)(public_key=public_key, secret_key="sk-lf-bench")
    writer, sent = Writer(5), Sum()
    caller = caller_cpu = cpu = flushing = 0.0
    for block in range(-1, BLOCKS):
        calls = writer.calls(WARM_UP if block < 0 else CALLS)
        gc.collect()
        began, began_thread, began_cpu = time.perf_counter(), time.thread_time(), time.process_time()
        for call in calls:
            trace(client, call)
        traced = time.perf_counter()
        flush(library, client)
        if block >= 0:
            caller += time.perf_counter() - began
            flushing += time.perf_counter() - traced
            caller_cpu += time.thread_time() - began_thread
            cpu += time.process_time() - began_cpu
        for call in calls:
            for observation in call:
                sent.add(observation["input"], observation["output"])
    measured = BLOCKS * CALLS * PER_CALL
    micro = 1e6 / measured
    return {
        "caller": caller * micro,
        "without_flush": (caller - flushing) * micro,
        "caller_cpu": caller_cpu * micro,
        "cpu": cpu * micro,
        "count": sent.count,
        "hash": str(sent),
    }


def main() -> int:
    sink = Sink()
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    try:
        for turn in range(ROUNDS):
            for compression in ("none", "gzip"):
                for library in LIBRARIES:
                    key = f"pk-lf-{library}-{compression}-{turn}"
                    figures = rounds.worker(
                        "bench.hotpath", library, key, base_url=sink.url, LANGFUSE_OTEL_COMPRESSION=compression
                    )
                    sink.expect(key, figures)
                    runs.setdefault((library, compression), []).append(figures)
            print(f"round {turn + 1} of {ROUNDS}", file=sys.stderr)
    finally:
        sink.stop()
    return report(runs)


def report(runs: dict[tuple[str, str], list[dict[str, Any]]]) -> int:
    """The table; 1 when a promise is missed."""
    lines, kept = [], True
    measures = [
        ("caller's thread, flush included, uncompressed", "none", "caller", PROMISED["caller"]),
        ("caller's thread, flush included, gzip", "gzip", "caller", None),
        ("caller's thread, without the flush", "gzip", "without_flush", None),
        ("caller's thread, CPU alone, flush included, uncompressed", "none", "caller_cpu", None),
        ("caller's thread, CPU alone, flush included, gzip", "gzip", "caller_cpu", None),
        ("whole process until delivered, CPU, uncompressed", "none", "cpu", PROMISED["cpu none"]),
        ("whole process until delivered, CPU, gzip", "gzip", "cpu", PROMISED["cpu gzip"]),
    ]
    for label, compression, name, promised in measures:
        ours, theirs = (rounds.median(runs[library, compression], name) for library in LIBRARIES)
        times = theirs / ours
        stands = "" if promised is None else f"{promised} x: {rounds.verdict(times >= promised)}"
        kept = kept and (promised is None or times >= promised)
        lines.append([label, f"{ours:.2f} us", f"{theirs:.1f} us", f"{times:.1f} x", stands])
    text = rounds.table(["per observation of about 1 KB", "tracespool", "langfuse 5.0.4", "less", "promised"], lines)
    note = (
        f"Medians of {ROUNDS} interleaved processes of {BLOCKS * CALLS * PER_CALL:,} observations, three nested per call, "
        f"flushed every {CALLS * PER_CALL:,}; payloads compress {compresses():.1f} times; contents compared by hash at the receiver, which answers at once."
    )
    rounds.publish("hotpath", text, note)
    return 0 if kept else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        print(json.dumps(work(sys.argv[2], sys.argv[3])))
    else:
        sys.exit(main())
