"""What 200 clients of 200 keys cost a Node process, and who sees whose data."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
from typing import Any

from bench import rounds
from bench.node import process
from examples.demo.collector import DATABASE, Collector

ROUNDS, CLIENTS = 3, 200


def main() -> int:
    collector = Collector(rounds.scratch("node-clients"))
    runs: dict[str, list[dict[str, Any]]] = {library: [] for library in process.LIBRARIES}
    try:
        for turn in range(ROUNDS):
            for library in process.LIBRARIES:
                figures = process.run("clients.mjs", library, f"{library}-{turn}", base_url=collector.url)
                runs[library].append(figures | {"strangers": strangers(collector, f"{library}-{turn}")})
            print(f"round {turn + 1} of {ROUNDS}", file=sys.stderr)
    finally:
        collector.stop()
    return report(runs)


def strangers(collector: Collector, tag: str) -> int:
    """Projects that do not hold exactly the one observation that was made with their key."""
    with contextlib.closing(sqlite3.connect(f"file:{collector.data / DATABASE}?mode=ro", uri=True)) as database:
        rows = database.execute(
            "SELECT project, input FROM observations WHERE project LIKE ? AND project <> ?", (f"pk-lf-{tag}-%", f"pk-lf-{tag}-first")
        ).fetchall()
    found: dict[str, list[Any]] = {}
    for project, given in rows:
        found.setdefault(project, []).append(json.loads(given))
    own = sum(values == [{"mine": project}] for project, values in found.items())
    return CLIENTS - own


def report(runs: dict[str, list[dict[str, Any]]]) -> int:
    """The table; 1 when a promise is missed."""
    measures = [
        ("threads added", "threads", "{:.0f}", 0, "none"),
        ("memory per client, made", "made", "{:.1f} KiB", None, ""),
        ("memory per client, after its first observation", "used", "{:.1f} KiB", 8, "8 KiB"),
        ("a client for a new key", "fresh", "{:.1f} us", None, ""),
        ("an observation with 1 client", "one", "{:.2f} us", None, ""),
        (f"an observation with {CLIENTS + 1} clients", "many", "{:.2f} us", None, ""),
        ("the second over the first", "ratio", "{:.2f} x", 1.05, "1.05 x"),
        ("projects that hold other than their own", "strangers", "{:.0f}", 0, "none"),
    ]
    rows, all_kept = [], True
    for label, name, form, limit, promised in measures:
        ours, theirs = (rounds.median(runs[library], name) for library in process.LIBRARIES)
        kept = limit is None or ours <= limit
        all_kept = all_kept and kept
        rows.append([label, form.format(ours), form.format(theirs), f"{promised}: {rounds.verdict(kept)}" if promised else ""])
    text = rounds.table([f"{CLIENTS} clients of {CLIENTS} keys", "tracespool", process.LANGFUSE, "promised"], rows)
    note = (
        f"Medians of {ROUNDS} interleaved processes; of an observation's cost the least of its blocks. langfuse: {CLIENTS} processors on the one provider that "
        "`startObservation` writes to; every processor sees every observation."
    )
    rounds.publish("node-clients", text, note, process.machine())
    return 0 if all_kept else 1


if __name__ == "__main__":
    sys.exit(main())
