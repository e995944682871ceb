"""What processes are made of, as the system sees it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

EXPORTER = "tracespool"
MIB = 1024 * 1024


@dataclass(frozen=True)
class Footprint:
    """Of one process: threads that are not the exporter, exporters, and resident bytes."""

    threads: int
    exporters: int
    resident: int


def of(pids: Iterable[int]) -> dict[int, Footprint]:
    """By process; those that have ended are left out."""
    found = {}
    for pid in pids:
        try:
            names = Counter(task.joinpath("comm").read_text().strip() for task in Path(f"/proc/{pid}/task").iterdir())
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
        exporters = names.pop(EXPORTER, 0)
        found[pid] = Footprint(sum(names.values()), exporters, pages * os.sysconf("SC_PAGE_SIZE"))
    return found


def resident(processes: dict[int, Footprint]) -> float:
    """Of all of them together, in MiB."""
    return sum(one.resident for one in processes.values()) / MIB
