"""Bursts into a real collector: what is stored of them, beside the langfuse packages, and whether the counts are true."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from typing import Any

from bench import rounds
from bench.node import process
from examples.demo.collector import DATABASE, Collector

MIB = 1024 * 1024
PER_TRACE = 5
LEAST_BYTES = 14 * MIB
SCENARIOS = {
    "tick-200": ("50,000 of 200 B in one tick", 50_000, []),
    "steady": ("5,000 a second, server 300 ms away", 5_000, [{"fault": "delay:300"}]),
    "each": ("`flushAt: 1`, 200, each flushed", 200, []),
    "tick-2k": ("50,000 of 2 KB in one tick", 50_000, []),
}


def main() -> int:
    collector = Collector(rounds.scratch("node-bursts"))
    rows, all_kept = [], True
    try:
        for name, (label, count, faults) in SCENARIOS.items():
            stored: dict[str, Any] = {}
            for library in process.LIBRARIES:
                key = f"pk-lf-{library}-{name}"
                collector.faults(faults)
                figures = process.run("bursts.mjs", library, key, name, base_url=collector.url)
                collector.faults([])
                stored[library] = look(collector, key) | {"stats": figures["stats"]}
                print(f"{name} {library}: {stored[library]['count']:,} stored", file=sys.stderr)
            kept, remark = judge(name, count, stored["tracespool"])
            all_kept = all_kept and kept
            ours, theirs = (stored[library]["count"] for library in process.LIBRARIES)
            rows.append([label, f"{ours:,}", f"{theirs:,}", f"{remark}: {rounds.verdict(kept)}"])
    finally:
        collector.stop()
    text = rounds.table(["observations stored", "tracespool", process.LANGFUSE, "promised"], rows)
    note = (
        f"Traces of {PER_TRACE} observations whose root ends last; stored as counted in the collector's database, then compared with "
        "`stats()`: submitted = delivered + dropped, delivered = stored."
    )
    rounds.publish("node-bursts", text, note, process.machine())
    return 0 if all_kept else 1


def look(collector: Collector, key: str) -> dict[str, Any]:
    """What the database holds of a project: observations, their bytes, and traces that are not whole."""
    with contextlib.closing(sqlite3.connect(f"file:{collector.data / DATABASE}?mode=ro", uri=True)) as database:
        count, size = database.execute(
            "SELECT count(*), coalesce(sum(length(cast(input AS blob))), 0) FROM observations WHERE project = ?", (key,)
        ).fetchone()
        (torn,) = database.execute(
            "SELECT count(*) FROM (SELECT 1 FROM observations WHERE project = ? GROUP BY trace_id HAVING count(*) <> ?)", (key, PER_TRACE)
        ).fetchone()
    return {"count": count, "bytes": size, "torn": torn}


def judge(name: str, count: int, ours: dict[str, Any]) -> tuple[bool, str]:
    """Whether all is stored; where it cannot be, whether the counters say so and what is stored is whole."""
    told = ours["stats"]["observations"]
    exact = told["submitted"] == count == told["delivered"] + sum(told["dropped"].values()) and told["delivered"] == ours["count"]
    if name != "tick-2k":
        return exact and ours["count"] == count, "all"
    return exact and ours["bytes"] >= LEAST_BYTES and not ours["torn"], (
        f"counts {'exact' if exact else 'WRONG'}, {LEAST_BYTES // MIB} MiB or more ({ours['bytes'] / MIB:.1f}), whole traces ({ours['torn']:,} torn)"
    )


if __name__ == "__main__":
    sys.exit(main())
