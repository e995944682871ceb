"""The collector as a process, and what it says it has stored."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT = 15.0
STOP_TIMEOUT = 10.0


def binary() -> str:
    """The collector's program: `TRACESPOOL_COLLECTOR`, or what cargo built."""
    named = os.environ.get("TRACESPOOL_COLLECTOR")
    if named:
        return named
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    for profile in ("release", "debug"):
        program = target / profile / "tracespool-collector"
        if program.exists():
            return str(program)
    found = shutil.which("tracespool-collector")
    if found:
        return found
    raise SystemExit("tracespool-collector is not built: run `make build`")


@dataclass(frozen=True)
class Stored:
    """What the collector holds, of one project or of all."""

    observations: int
    scores: int


class Collector:
    """A collector on a port of its own, with its data in `data`."""

    def __init__(self, data: Path, listen: str = "127.0.0.1:0") -> None:
        data.mkdir(parents=True, exist_ok=True)
        self._log = open(data / "collector.log", "wb")
        self._process = subprocess.Popen(
            [binary(), "--data", str(data), "--listen", listen, "--any-key"],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.url = self._address()

    def _address(self) -> str:
        deadline = time.monotonic() + START_TIMEOUT
        assert self._process.stdout is not None
        while time.monotonic() < deadline:
            line = self._process.stdout.readline()
            found = re.search(r"listening on (http://\S+)", line)
            if found:
                return found.group(1)
            if not line and self._process.poll() is not None:
                break
        raise SystemExit(f"the collector did not start; see {self._log.name}")

    def stored(self, public_key: str | None = None) -> Stored:
        """What has been stored, of `public_key` or of all projects."""
        query = f"?{urllib.parse.urlencode({'project': public_key})}" if public_key else ""
        with urllib.request.urlopen(f"{self.url}/api/v1/counts{query}", timeout=10) as response:
            counts = json.load(response)
        return Stored(counts["observations"], counts["scores"])

    def contents(self, public_key: str) -> Iterator[tuple[Any, Any]]:
        """The input and the output of every observation of a project."""
        raise NotImplementedError

    def faults(self, faults: list[dict[str, Any]]) -> None:
        """From now on the collector misbehaves as told: `hang`, `reset`, ... by `path` or `key`; no more with none."""
        request = urllib.request.Request(
            f"{self.url}/api/v1/faults",
            data=json.dumps(faults).encode() if faults else None,
            method="PUT" if faults else "DELETE",
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10):
            pass

    def wait(self) -> None:
        """Stays until the collector is ended from outside."""
        self._process.wait()

    def stop(self) -> None:
        """Ends the collector."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
