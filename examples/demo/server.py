"""A service as a process of its own: under uvicorn, or under Node."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from examples.demo.collector import ROOT

START_TIMEOUT = 30.0
# The langfuse SDK says goodbye to its clients one after another; a stop is given this long and then cut off.
STOP_TIMEOUT = 40.0


class Server:
    """One of the example services, listening on a free port. `app` is an ASGI application, or a program for Node."""

    def __init__(self, app: str, collector_url: str, log: Path, tracing: bool) -> None:
        self.port = _free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("LANGFUSE_", "TRACESPOOL_", "OTEL_"))}
        environment |= {"LANGFUSE_BASE_URL": collector_url, "TRACING": "on" if tracing else "off", "PYTHONUNBUFFERED": "1"}
        environment |= {"PORT": str(self.port), "NODE_ENV": "production"}
        self._log = open(log, "wb")
        self._process = subprocess.Popen(
            self._command(app),
            cwd=ROOT,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._await_start()

    def _command(self, app: str) -> list[str]:
        if app.endswith(".mjs"):
            return [os.environ.get("NODE", "node"), app]
        return [sys.executable, "-m", "uvicorn", app, "--port", str(self.port), "--log-level", "warning", "--no-access-log"]

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.stats()
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        self.stop()
        raise SystemExit(f"the service did not start:\n{Path(self._log.name).read_text()}")

    def stats(self) -> dict[str, Any]:
        """The service's threads by name and its memory."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats", timeout=30) as response:
            return json.load(response)

    def stop(self) -> float:
        """Asks the service to end and says how many seconds that took; infinite when it had to be killed."""
        started = time.monotonic()
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
            return time.monotonic() - started
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return float("inf")
        finally:
            self._log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
