"""Workers in processes of their own, their figures side by side, and the page that keeps them."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from examples.demo.collector import ROOT

PAGE = ROOT / "docs" / "figures.md"


def worker(module: str, *arguments: str, base_url: str = "http://127.0.0.1:9", **settings: str) -> dict[str, Any]:
    """Runs `python -m module worker ...` with only the settings given, and reads the figures that it prints."""
    environ = {n: v for n, v in os.environ.items() if not n.startswith(("LANGFUSE_", "TRACESPOOL_", "OTEL_"))}
    environ |= {"LANGFUSE_BASE_URL": base_url} | settings
    ended = subprocess.run(
        [sys.executable, "-m", module, "worker", *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if ended.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} failed:\n{ended.stderr}")
    return json.loads(ended.stdout.splitlines()[-1])


def median(runs: list[dict[str, Any]], name: str) -> float:
    """The median of one figure over the runs."""
    return statistics.median(run[name] for run in runs)


def quantile(values: list[float], share: float) -> float:
    """The value that `share` of them stay within."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table that reads well in a terminal and in Markdown."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: list[str]) -> str:
        first, *rest = [cell.ljust(widths[0]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(cells)]
        return "| " + " | ".join([first, *rest]) + " |"

    rule = "|" + "|".join("-" * (width + 1) + ("-" if i == 0 else ":") for i, width in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *(line(row) for row in rows)])


def publish(name: str, text: str, note: str, measured_on: str | None = None) -> None:
    """Prints a bench's table and puts it into docs/figures.md between its marks."""
    print(f"{text}\n\n{note}")
    begin, end = f"<!-- {name}: written by `make bench-{name}` -->", f"<!-- end of {name} -->"
    page = PAGE.read_text()
    before, rest = page.split(begin)
    after = rest.split(end)[1]
    PAGE.write_text(f"{before}{begin}\n{text}\n\n{note} {measured_on or machine()}\n{end}{after}")


def machine() -> str:
    """What it was measured on, without saying whose machine it is."""
    return f"({os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()})"


def verdict(kept: bool) -> str:
    """How a figure stands against its promise."""
    return "kept" if kept else "MISSED"


def scratch(name: str) -> Path:
    """A folder for the collector of one bench, emptied."""
    import shutil

    folder = ROOT / "demo-data" / f"bench-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    return folder
