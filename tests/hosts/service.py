"""A service in one of the frameworks, as a process of its own, and what is asked of it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from program import environment

from examples.demo import load

HERE = Path(__file__).parent
NODE = os.environ.get("NODE", "node")
START_TIMEOUT, STOP_TIMEOUT = 60.0, 10.0
NEXT = HERE / "node_modules" / "next" / "dist" / "bin" / "next"


class Service:
    """`express.mjs`, `fastify.mjs`, or the built `next`, listening on a free port; `options` are Node's."""

    def __init__(self, name: str, base_url: str, log: Path, *options: str, **settings: str) -> None:
        self.port = _free_port()
        self.log = log
        command = [NODE, "--expose-gc", "--no-warnings", *options]
        if name == "next":
            command += [str(NEXT), "start", "--port", str(self.port), "--hostname", "127.0.0.1"]
        else:
            command += [str(HERE / f"{name}.mjs")]
        environ = environment(base_url, PORT=str(self.port), NODE_ENV="production", NEXT_TELEMETRY_DISABLED="1") | settings
        self._out = open(log, "wb")
        self._process = subprocess.Popen(
            command, cwd=HERE / "next" if name == "next" else HERE, env=environ, stdout=self._out, stderr=subprocess.STDOUT
        )
        self._await_start()

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.look()
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        self.stop()
        raise AssertionError(f"the service did not start:\n{self.log.read_text()}")

    def look(self) -> dict[str, Any]:
        """Threads, memory after the garbage is gone, and the library's counters."""
        return json.loads(self.get("/stats")[1])

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Status and body of a page."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=_named(headers))
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def abandon(self, path: str, **headers: str) -> None:
        """Reads the beginning of an answer and hangs up."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in _named(headers).items())
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{lines}\r\n".encode())
            assert connection.recv(16)

    def ask(self, people: list[load.User], numbers: range, concurrency: int = 16, limit: float = 600.0) -> load.Outcome:
        """So many questions of these users."""
        return asyncio.run(load.run(self.port, people, numbers, concurrency, limit, lambda _done: None))

    def stop(self) -> int:
        """Asks it to end; its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._out.close()


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
