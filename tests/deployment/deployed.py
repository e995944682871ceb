"""A service as a deployment runs it: real server processes, asked under load, traced or not."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import footprint
from footprint import Footprint
from installed import INSTALLED
from program import environment

SERVICES = Path(__file__).resolve().parent / "services"
STOP_TIMEOUT = 30.0
OBSERVATIONS, SCORES = 2, 1
"""Of one request: its own observation and that of the generation below it, which has a score."""

Ask = Callable[[range], set[int]]
"""Has the service do the work of these numbers; returns the processes that did it."""


@dataclass(frozen=True)
class Measured:
    """A service after its warm-up and after all requests."""

    warm: dict[int, Footprint]
    loaded: dict[int, Footprint]
    seconds: float

    @property
    def growth(self) -> float:
        """MiB that all its processes together grew by after the warm-up."""
        warm = {pid: one for pid, one in self.warm.items() if pid in self.loaded}
        return footprint.resident(self.loaded) - footprint.resident(warm)


class Deployed:
    """The server process and those that it starts."""

    def __init__(self, command: list[str], url: str, folder: Path, *, traced: bool, **environ: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "stderr.log"
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=folder,
                env=environment(
                    url,
                    PYTHONPATH=os.pathsep.join((str(SERVICES), str(INSTALLED))),
                    TRACED="on" if traced else "off",
                    LANGFUSE_FLUSH_INTERVAL="1",
                    # What is not answered in time is sent again, rightly: a disk that stalls is not what is under test.
                    LANGFUSE_TIMEOUT="60",
                    **environ,
                ),
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> str:
        """SIGTERM, as every orchestrator sends it; returns what the service logged. It has to end by itself."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running {STOP_TIMEOUT} s after SIGTERM: {self.said()}") from None
        finally:
            self.kill()
        return self.said()

    def kill(self) -> None:
        """Ends whatever is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_TIMEOUT)

    def said(self) -> str:
        """What it logged."""
        return self._log.read_text(errors="replace")


@contextlib.contextmanager
def deployed(command: list[str], url: str, folder: Path, **settings: str | bool) -> Iterator[Deployed]:
    """Runs it for the length of the block."""
    service = Deployed(command, url, folder, **settings)
    try:
        yield service
    finally:
        service.kill()


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measured(ask: Ask, warm: int, total: int, settle: Callable[[int], None]) -> Measured:
    """Asks for 0..warm-1, looks, asks for the rest, looks again. `settle` waits until all of so many are stored, so that
    what is still pending is not taken for growth."""
    began = time.monotonic()
    known = ask(range(warm))
    settle(warm)
    before = footprint.of(known)
    known |= ask(range(warm, total))
    seconds = time.monotonic() - began
    settle(total)
    time.sleep(1.0)  # threads that live as long as a request are gone; the exporter stays for 30 s without work
    return Measured(before, footprint.of(known), seconds)
