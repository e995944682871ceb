"""Node workers in processes of their own, and the figures that they print."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from examples.demo.collector import ROOT

FOLDER = Path(__file__).parent
LIBRARIES = ("tracespool", "langfuse")
LANGFUSE = "langfuse 5.11.1"
NODE = os.environ.get("NODE", "node")


def run(script: str, *arguments: str, base_url: str = "http://127.0.0.1:9", timeout: float = 300, **settings: str) -> dict[str, Any]:
    """Runs `node script ...` with only the settings given, and reads the figures on its last line."""
    ended = subprocess.run(
        [NODE, "--expose-gc", "--no-warnings", str(FOLDER / script), *arguments],
        cwd=FOLDER,
        env=environment(base_url, **settings),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if ended.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)} failed:\n{ended.stdout}{ended.stderr}")
    return json.loads(ended.stdout.splitlines()[-1])


def environment(base_url: str, **settings: str) -> dict[str, str]:
    """Nothing of the surrounding settings, and where to send."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("LANGFUSE_", "TRACESPOOL_", "OTEL_"))}
    return kept | {"LANGFUSE_BASE_URL": base_url} | settings


def machine() -> str:
    """What it was measured on."""
    said = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return f"({os.cpu_count()} cores, {platform.system()} {platform.machine()}, Node {said.removeprefix('v')})"
