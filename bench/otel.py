"""What an observation costs more where OpenTelemetry is imported: one process, both ways in turns, medians of
the calling thread's CPU time."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable

from bench.sink import Sink

ROUNDS, CALLS = 40, 2000
PROMISED = 3.0


def main() -> int:
    os.environ.setdefault("TRACESPOOL_ATEXIT", "0")
    import tracespool

    sink = Sink()
    client = tracespool.Client(public_key="pk-bench", secret_key="sk-bench", base_url=sink.url)

    def alone() -> None:
        client.start_observation(name="one").end()

    def current() -> None:
        with client.start_as_current_observation(name="one"):
            pass

    @tracespool.observe(capture_input=False, capture_output=False)
    def observed() -> None:
        pass

    kinds: dict[str, Callable[[], None]] = {"start_observation": alone, "as current": current, "observe": observed}
    without: dict[str, list[float]] = {}
    with_: dict[str, list[float]] = {}
    import opentelemetry.trace

    # What counts is whether it is among the imported modules.
    module = sys.modules["opentelemetry.trace"]
    assert module is opentelemetry.trace
    for turn in range(2 * ROUNDS):
        if turn % 2:
            sys.modules["opentelemetry.trace"] = module
        else:
            del sys.modules["opentelemetry.trace"]
        measure(kinds, with_ if turn % 2 else without)
        client.flush(5.0)
    worst = 0.0
    for kind in kinds:
        one, other = statistics.median(without[kind]), statistics.median(with_[kind])
        worst = max(worst, other - one)
        print(f"{kind:18} {one:6.2f} us without, {other:6.2f} us with OpenTelemetry: {other - one:+.2f} us")
    tracespool.cleanup_all_clients(0.0)
    sink.stop()
    return 0 if worst <= PROMISED else 1


def measure(kinds: dict[str, Callable[[], None]], into: dict[str, list[float]]) -> None:
    for kind, call in kinds.items():
        began = time.thread_time()
        for _ in range(CALLS):
            call()
        into.setdefault(kind, []).append((time.thread_time() - began) / CALLS * 1e6)


if __name__ == "__main__":
    sys.exit(main())
