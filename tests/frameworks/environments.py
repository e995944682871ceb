"""Programs of others in environments of their own, with the tracespool of the main one put on their path."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import tracespool
from program import Ended, environment

HERE = Path(__file__).resolve().parent
VENV = HERE.parents[1] / ".venv"


def needs(name: str, verb: str) -> pytest.MarkDecorator:
    """Skips where the environment has not been installed."""
    return pytest.mark.skipif(not (VENV / name / ".ready").is_file(), reason=f"needs packages of others: `make {verb}`")


def run(name: str, url: str, folder: Path, *arguments: str, timeout: float = 300, ours: bool = True, **more: str) -> Ended:
    """Runs a program of this folder in the environment of that name, under the runner unless `ours` is off.

    `folder` gets a link to the installed tracespool: what else the main environment holds stays out of sight.
    """
    link = folder / "ours" / "tracespool"
    link.parent.mkdir(exist_ok=True)
    if not link.exists():
        link.symlink_to(Path(tracespool.__path__[0]))
    command = [str(VENV / name / "bin" / "python"), *(["-m", "tracespool.langfuse", "run"] if ours else [])]
    path, *rest = arguments
    done = subprocess.run(
        [*command, str(HERE / path), *rest],
        env=environment(url, PYTHONPATH=str(link.parent), HOME=str(folder), **more),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Ended(done.returncode, done.stdout, done.stderr, 0.0)
