"""The one table of the demo, and the promises that it is judged by."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from examples.demo.collector import Stored
from examples.demo.load import Outcome

# How much more than the untraced service one may grow. V8 sizes its young generation by what is allocated in a second; a Worker
# sends in each request, and what that leaves is collected late.
RSS_ALLOWANCE_KIB = {"python": 2 * 1024, "node": 16 * 1024, "edge": 64 * 1024}
THREADS_ALLOWED = 1


@dataclass
class Run:
    """What one service came to."""

    name: str
    outcome: Outcome
    stored: Stored
    threads: dict[str, int]
    rss_start: int
    rss_warm: int | None
    rss_end: int
    stop_seconds: float
    # What only this kind of service has, by its label.
    more: dict[str, str] = field(default_factory=dict)

    @property
    def sent(self) -> Stored:
        return Stored(self.outcome.observations.total(), self.outcome.scores.total())

    @property
    def growth(self) -> int | None:
        """KiB between the first comparison of memory and the end; none when the service never got there."""
        return None if self.rss_warm is None else self.rss_end - self.rss_warm


def table(runs: list[Run], warm: int, traced: set[str]) -> str:
    """The runs side by side, a column each."""
    rows: list[tuple[str, list[str]]] = [
        ("requests answered", [_count(len(run.outcome.latencies) - run.outcome.failures.total()) for run in runs]),
        ("requests per second", [_count(len(run.outcome.latencies) / run.outcome.seconds) for run in runs]),
        ("latency p50", [f"{run.outcome.quantile(0.5):.1f} ms" for run in runs]),
        ("latency p99", [f"{run.outcome.quantile(0.99):.1f} ms" for run in runs]),
        ("threads at rest", [_count(sum(run.threads.values())) for run in runs]),
        ("memory at start", [_mib(run.rss_start) for run in runs]),
        (f"memory after {warm:,} requests", [_mib(run.rss_warm) for run in runs]),
        ("memory at the end", [_mib(run.rss_end) for run in runs]),
        ("growth between these two", [_mib(run.growth, "+") for run in runs]),
        ("time to stop", ["killed" if math.isinf(run.stop_seconds) else f"{run.stop_seconds:.1f} s" for run in runs]),
    ]
    rows += [(label, [run.more.get(label, "-") for run in runs]) for label in runs[0].more]
    for kind in ("observations", "scores"):
        if not any(getattr(run.sent, kind) for run in runs):
            continue
        sent = [getattr(run.sent, kind) if run.name in traced else None for run in runs]
        stored = [getattr(run.stored, kind) for run in runs]
        rows += [
            (f"{kind} sent", ["-" if n is None else _count(n) for n in sent]),
            (f"{kind} stored", ["-" if n is None else _count(s) for n, s in zip(sent, stored)]),
            (f"{kind} lost", ["-" if n is None else _count(n - s) for n, s in zip(sent, stored)]),
        ]
    width = max(len(label) for label, _ in rows)
    columns = [max(len(run.name), *(len(cells[i]) for _, cells in rows)) for i, run in enumerate(runs)]
    lines = [" " * width + "".join(f"  {run.name:>{columns[i]}}" for i, run in enumerate(runs))]
    lines.append("-" * len(lines[0]))
    for label, cells in rows:
        lines.append(f"{label:<{width}}" + "".join(f"  {cell:>{columns[i]}}" for i, cell in enumerate(cells)))
    lines.append("")
    lines.append("threads by name")
    lines += [f"  {run.name:<{max(len(r.name) for r in runs)}}  {_names(run.threads)}" for run in runs]
    return "\n".join(lines)


def broken_promises(runs: list[Run], requests: int, judge_memory: bool, stack: str) -> list[str]:
    """What tracespool promised and did not keep in this demo."""
    by_name = {run.name: run for run in runs}
    base, ours = by_name.get("untraced"), by_name.get("tracespool")
    broken = [
        f"{run.name}: {_count(run.outcome.failures.total())} requests failed ({dict(run.outcome.failures)})"
        for run in runs
        if run.outcome.failures and run.name != "langfuse"
    ]
    if base is None or ours is None:
        return broken
    allowed = sum(base.threads.values()) + THREADS_ALLOWED
    if sum(ours.threads.values()) > allowed:
        broken.append(f"threads at rest: {sum(ours.threads.values())}, promised at most {allowed}")
    if len(ours.outcome.latencies) < requests:
        broken.append(f"only {len(ours.outcome.latencies):,} of {requests:,} requests in time")
    grown, free = ours.growth or 0, base.growth or 0
    allowance = RSS_ALLOWANCE_KIB[stack]
    if judge_memory and grown > max(free, 0) + allowance:
        broken.append(f"memory grew by {grown} KiB, untraced by {free} KiB, promised at most {allowance // 1024} MiB more")
    if ours.sent != ours.stored:
        broken.append(f"sent {ours.sent}, stored {ours.stored}: promised the same")
    return broken


def _names(threads: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(threads.items(), key=lambda item: (-item[1], item[0])))


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _mib(kib: int | None, sign: str = "") -> str:
    return "not reached" if kib is None else f"{kib / 1024:{sign}.1f} MiB"
