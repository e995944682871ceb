"""The demo in short: it runs, its promises hold, and its table says so."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from examples.demo.collector import ROOT


def test_a_short_demo_keeps_its_promises(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "examples.demo", "--requests", "300", "--warm", "100", "--users", "20"]
        + ["--limit", "30", "--exit", "--data", str(tmp_path / "data")],
        cwd=ROOT,
        env=os.environ | {"CI": "1"},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    table = cells(ended.stdout)
    assert table["observations sent"][1:2] == table["observations stored"][1:2] == ["1,200"]
    assert table["scores sent"][1:2] == table["scores stored"][1:2] == ["600"]
    assert table["observations lost"] == ["-", "0", "0"]
    untraced, tracespool, langfuse = (int(cell) for cell in table["threads at rest"])
    assert tracespool == untraced + 1
    # What the demo is there to show: four threads for each of the twenty users.
    assert langfuse >= untraced + 4 * 20
    assert re.search(r"the traces\s+http://127\.0\.0\.1:\d+", ended.stdout)


def cells(text: str) -> dict[str, list[str]]:
    """The rows of the table by label."""
    rows = (re.split(r"\s{2,}", line.strip()) for line in text.splitlines())
    return {label: values for label, *values in rows if len(values) == 3}
