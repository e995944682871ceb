"""What an observation costs a Node service, beside the langfuse packages: the main thread, and the process until delivered."""

from __future__ import annotations

import sys
from typing import Any

from bench import rounds
from bench.node import process
from bench.sink import Sink

ROUNDS = 3
SIZES = ("small", "large")
# What both are told, so that they do the same work.
COMPRESSION = {
    "none": {"LANGFUSE_OTEL_COMPRESSION": "none"},
    "gzip": {"LANGFUSE_OTEL_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"},
}
PROMISED = 8
PROMISED_LARGE = 5


def main() -> int:
    sink = Sink()
    runs: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    try:
        for turn in range(ROUNDS):
            for size in SIZES:
                for compression, settings in COMPRESSION.items():
                    for library in process.LIBRARIES:
                        key = f"pk-lf-{library}-{size}-{compression}-{turn}"
                        figures = process.run("hotpath.mjs", library, key, size, base_url=sink.url, **settings)
                        sink.expect(key, figures)
                        sink.forget(key)
                        runs.setdefault((library, size, compression), []).append(figures)
            print(f"round {turn + 1} of {ROUNDS}", file=sys.stderr)
    finally:
        sink.stop()
    return report(runs)


def report(runs: dict[tuple[str, str, str], list[dict[str, Any]]]) -> int:
    """The table; 1 when a promise is missed."""
    measures = [
        ("the calls, wall", "small", "gzip", "wall", None),
        ("the calls, main thread's CPU", "small", "gzip", "calling", None),
        ("main thread's CPU until delivered, uncompressed", "small", "none", "main", PROMISED),
        ("main thread's CPU until delivered, gzip", "small", "gzip", "main", None),
        ("whole process's CPU until delivered, uncompressed", "small", "none", "cpu", PROMISED),
        ("whole process's CPU until delivered, gzip", "small", "gzip", "cpu", None),
        ("20 KB: the calls, wall", "large", "gzip", "wall", None),
        ("20 KB: main thread's CPU until delivered, uncompressed", "large", "none", "main", PROMISED_LARGE),
        ("20 KB: whole process's CPU until delivered, uncompressed", "large", "none", "cpu", None),
        ("20 KB: whole process's CPU until delivered, gzip", "large", "gzip", "cpu", None),
    ]
    rows, kept = [], True
    for label, size, compression, name, promised in measures:
        ours, theirs = (rounds.median(runs[library, size, compression], name) for library in process.LIBRARIES)
        times = theirs / ours
        stands = "" if promised is None else f"{promised} x: {rounds.verdict(times >= promised)}"
        kept = kept and (promised is None or times >= promised)
        rows.append([label, f"{ours:.2f} us", f"{theirs:.1f} us", f"{times:.1f} x", stands])
    text = rounds.table(["per observation", "tracespool", process.LANGFUSE, "less", "promised"], rows)
    note = (
        f"Medians of {ROUNDS} interleaved processes, of each the least of 8 blocks; small: three observations, each inside the other, inputs and outputs of 50 to 150 "
        "characters, 9,600 in blocks of 1,200 that are flushed; 20 KB: 480 generations with forty messages, in blocks of 60. Contents "
        "compared by hash at the receiver, which answers at once. The promises are for the main thread until all is delivered: langfuse "
        "encodes, compresses and sends there when it flushes, so that its calls alone are the smaller part of what it takes."
    )
    rounds.publish("node-hotpath", text, note, process.machine())
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
