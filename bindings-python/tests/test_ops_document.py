"""The snippets of docs/operations.md run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def test_every_snippet_runs() -> None:
    snippets = re.findall(r"^```python\n(.*?)^```", _PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(snippets) >= 6
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(snippets)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "{'browser_contexts': 1}" in done.stdout and "# TYPE tracespool_clients gauge" in done.stdout
