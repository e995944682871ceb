"""The collector as a process, and what it says it has stored."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
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
DATABASE = "traces.db"


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
        self.data = data
        self._log = open(data / "collector.log", "wb")
        # The second address keeps answering whatever faults are switched on.
        self._process = subprocess.Popen(
            [binary(), "--data", str(data), "--listen", listen, "--control", "127.0.0.1:0", "--any-key"],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        said = self._said()
        self.url = said["listening"]
        self.control = said.get("control", self.url)

    def _said(self) -> dict[str, str]:
        """The addresses that it prints as it starts; where it listens comes last."""
        found: dict[str, str] = {}
        deadline = time.monotonic() + START_TIMEOUT
        assert self._process.stdout is not None
        while "listening" not in found:
            line = self._process.stdout.readline()
            if not line or time.monotonic() > deadline:
                self._process.kill()
                raise SystemExit(f"the collector did not start; see {self._log.name}")
            if address := re.search(r"(control|listening) on (http://\S+)", line):
                found[address.group(1)] = address.group(2)
        return found

    def stored(self, public_key: str | None = None) -> Stored:
        """What has been stored, of `public_key` or of all projects."""
        query = f"?{urllib.parse.urlencode({'project': public_key})}" if public_key else ""
        with urllib.request.urlopen(f"{self.control}/api/v1/counts{query}", timeout=10) as response:
            counts = json.load(response)
        return Stored(counts["observations"], counts["scores"])

    def contents(self, public_key: str) -> Iterator[tuple[Any, Any]]:
        """The input and the output of every observation of a project, read from the database itself."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data / DATABASE}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT input, output FROM observations WHERE project = ?", (public_key,))
            for given, returned in rows:
                yield json.loads(given), json.loads(returned)

    def faults(self, faults: list[dict[str, Any]]) -> None:
        """From now on the collector misbehaves as told: `hang`, `reset`, ... by `path` or `key`; no more with none."""
        request = urllib.request.Request(
            f"{self.control}/api/v1/faults",
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
