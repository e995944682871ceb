"""`make demo-node` in short: it runs, its promises hold, and its table says so."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from examples.demo.collector import ROOT


def test_a_short_demo_keeps_its_promises(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "examples.demo", "--stack", "node", "--requests", "300", "--warm", "100", "--users", "20"]
        + ["--limit", "30", "--exit", "--data", str(tmp_path / "data")],
        cwd=ROOT,
        env=os.environ | {"CI": "1"},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = (re.split(r"\s{2,}", line.strip()) for line in ended.stdout.splitlines())
    table = {label: values for label, *values in rows if len(values) == 3}
    assert table["observations sent"][1:] == table["observations stored"][1:] == ["1,200", "1,200"]
    assert table["scores sent"][1:] == table["scores stored"][1:] == ["600", "600"]
    untraced, tracespool, _ = (int(cell) for cell in table["threads at rest"])
    assert tracespool == untraced + 1
