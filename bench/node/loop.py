"""How late the event loop of a service gets, untraced, with tracespool and with the langfuse packages."""

from __future__ import annotations

import sys
from typing import Any

from bench import rounds
from bench.node import process
from bench.sink import Sink

ROUNDS, SECONDS = 3, 4
SERVICES = ("untraced", *process.LIBRARIES)
PROMISED_MS = 1.0


def main() -> int:
    sink = Sink()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in SERVICES}
    try:
        for turn in range(ROUNDS):
            for name in SERVICES:
                key = f"pk-lf-{name}-{turn}"
                runs[name].append(process.run("loop.mjs", name, key, str(SECONDS), base_url=sink.url))
                sink.forget(key)
            print(f"round {turn + 1} of {ROUNDS}", file=sys.stderr)
    finally:
        sink.stop()
    return report(runs)


def report(runs: dict[str, list[dict[str, Any]]]) -> int:
    """The table; 1 when a promise is missed."""
    rows, all_kept = [], True
    for label, name in (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"), ("worst", "worst")):
        free, ours, theirs = (rounds.median(runs[service], name) for service in SERVICES)
        stands = ""
        if name == "p99":
            kept = ours - free <= PROMISED_MS
            stands, all_kept = f"{PROMISED_MS} ms over untraced: {rounds.verdict(kept)}", kept
        rows.append([label, f"{free:.2f} ms", f"{ours:.2f} ms", f"{theirs:.2f} ms", stands])
    text = rounds.table(["event-loop delay", "untraced", "tracespool", process.LANGFUSE, "promised"], rows)
    note = (
        f"Medians of {ROUNDS} interleaved processes of {SECONDS} s: a request every 5 ms, three observations each, one of them of 20 KB; "
        "`monitorEventLoopDelay` at 1 ms, which counts the millisecond itself. Where other work runs on the machine: under `chrt -f 1`, as here."
    )
    rounds.publish("node-loop", text, note, process.machine())
    return 0 if all_kept else 1


if __name__ == "__main__":
    sys.exit(main())
