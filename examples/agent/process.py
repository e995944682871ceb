"""What this process is made of just now: its threads by name and its memory."""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections import Counter
from pathlib import Path

TASKS = Path("/proc/self/task")


def threads() -> dict[str, int]:
    """Threads by name, the operating system's count where it has one. Digits are taken off, so that kinds add up."""
    known = {thread.native_id: thread.name for thread in threading.enumerate()}
    if not TASKS.is_dir():
        return dict(Counter(_kind(name) for name in known.values()))
    names = []
    for task in TASKS.iterdir():
        try:
            names.append(known.get(int(task.name)) or (task / "comm").read_text().strip())
        except OSError:  # it ended while we looked
            continue
    return dict(Counter(_kind(name) for name in names))


def resident_kib() -> int:
    """Resident memory in KiB; the peak where the system does not say what it is now."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak


def _kind(name: str) -> str:
    return name.split(" (")[0].rstrip("0123456789-_ ") or name
