"""A traced program as a process of its own: what it printed, how it ended and how long it took."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

PUBLIC_KEY = "pk-lf-blackbox"
SECRET_KEY = "sk-lf-blackbox-0f4e9a"


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int
    out: str
    err: str
    seconds: float

    def lines(self) -> list[str]:
        """What it printed, by line."""
        return self.out.splitlines()


def environment(base_url: str, **more: str) -> dict[str, str]:
    """The environment of a program that traces to `base_url`, and nothing of the surrounding one's settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LANGFUSE_", "TRACESPOOL_", "OTEL_", "PYTEST_"))
        and name.lower() not in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    }
    return kept | {
        "LANGFUSE_PUBLIC_KEY": PUBLIC_KEY,
        "LANGFUSE_SECRET_KEY": SECRET_KEY,
        "LANGFUSE_BASE_URL": base_url,
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    } | more


class Program:
    """Source text, written where it can be run as a main module (spawned children import it again)."""

    def __init__(self, folder: Path, source: str) -> None:
        self.path = folder / "program.py"
        self.path.write_text(textwrap.dedent(source))

    def start(self, environ: dict[str, str], *options: str, python: str = sys.executable) -> subprocess.Popen[str]:
        """Starts it in a process group of its own."""
        return subprocess.Popen(
            [python, *options, str(self.path)],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, environ: dict[str, str], *options: str, timeout: float = 30, python: str = sys.executable) -> Ended:
        """Runs it to its end; a program that takes longer than `timeout` is killed and fails the test."""
        started = time.monotonic()
        process = self.start(environ, *options, python=python)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"still running after {timeout} s\n{out}\n{err}") from None
        return Ended(process.returncode, out, err, time.monotonic() - started)
