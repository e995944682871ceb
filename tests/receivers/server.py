"""A backend from PyPI as a real server on loopback, with a deadline for every step."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

ENVIRONMENTS = Path(__file__).resolve().parents[2] / ".venv-receivers"
# Importing either takes half a minute on a busy machine with two cores.
START_TIMEOUT = 180.0
STOP_TIMEOUT = 15.0
# From the answer to a request until the rows can be read.
STORE_TIMEOUT = 30.0

_T = TypeVar("_T")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def until(read: Callable[[], _T], enough: Callable[[_T], bool], timeout: float = STORE_TIMEOUT) -> _T:
    """What `read` gives once it is `enough`; fails with the last of it."""
    deadline = time.monotonic() + timeout
    while not enough(found := read()):
        assert time.monotonic() < deadline, f"after {timeout} s: {found}"
        time.sleep(0.25)
    return found


def post(url: str, body: Any) -> Any:
    """JSON for JSON."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


class Server:
    """A program of the environment `name`, answering at `url`."""

    def __init__(self, name: str, folder: Path, port: int, health: str, command: list[str], **environ: str) -> None:
        self.python = ENVIRONMENTS / name / "bin" / "python"
        assert self.python.exists(), f"there is no {name} in {ENVIRONMENTS}: run `make test-receivers`"
        self.port = port
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("OTEL_", "LANGFUSE_", "TRACESPOOL_", "PHOENIX_", "MLFLOW_", "PYTEST_"))
        } | {"DO_NOT_TRACK": "true"} | environ  # fmt: skip
        self.log = folder / f"{name}.log"
        program, *arguments = command
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                [str(self.python.parent / program), *arguments],
                env=self.environ,
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            until(lambda: self._answers(health), bool, START_TIMEOUT)
        except BaseException:
            self.stop()
            raise

    def _answers(self, path: str) -> bool:
        assert self._process.poll() is None, self.log.read_text(errors="replace")[-4000:]
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def run(self, source: str, *arguments: str) -> Any:
        """What a program with the backend's own client prints, as JSON."""
        command = [str(self.python), "-c", source, *arguments]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=START_TIMEOUT)
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])

    def stop(self) -> None:
        """Ends the server and what it started."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, sign)
            except ProcessLookupError:
                pass
            try:
                self._process.wait(STOP_TIMEOUT)
                return
            except subprocess.TimeoutExpired:
                continue
