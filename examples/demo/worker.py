"""A service as a Worker: bundled as wrangler does it, run by workerd as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Any

from examples.demo import load
from examples.demo.collector import ROOT, Collector
from examples.demo.server import START_TIMEOUT, Server

APP = ROOT / "examples" / "edge_app"


class Bundle:
    """A Worker's files beside a configuration of workerd. `gzip`: compressed bytes of each."""

    def __init__(self, entry: str, folder: Path) -> None:
        self.config = folder.resolve() / "config.capnp"
        command = [os.environ.get("NODE", "node"), "bundle.mjs", entry, str(folder.resolve())]
        made = subprocess.run(command, cwd=APP, capture_output=True, text=True, timeout=120)
        if made.returncode:
            raise SystemExit(f"{entry} was not bundled:\n{made.stderr}")
        said = json.loads(made.stdout)
        self.program: str = said["workerd"]
        self.gzip: dict[str, int] = said["gzip"]


class Worker(Server):
    """workerd with one Worker. `start_seconds`: until it listens, the script's evaluation included."""

    def __init__(self, bundle: Bundle, collector_url: str, log: Path, tracing: bool) -> None:
        self._bundle = bundle
        began = time.monotonic()
        super().__init__("", collector_url, log, tracing)
        self.start_seconds = time.monotonic() - began

    def _command(self, app: str) -> list[str]:
        return [self._bundle.program, "serve", str(self._bundle.config), "--socket-addr", f"http=127.0.0.1:{self.port}"]

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.001)
        self.stop()
        raise SystemExit(f"workerd did not start:\n{Path(self._log.name).read_text()}")

    def stats(self) -> dict[str, Any]:
        """The process's threads by name and its memory, as the system tells them: a Worker cannot."""
        of = Path("/proc") / str(self._process.pid)
        threads: dict[str, int] = {}
        for task in (of / "task").iterdir():
            name = re.sub(r"\d+$", "", (task / "comm").read_text().strip())
            threads[name] = threads.get(name, 0) + 1
        [rss] = re.findall(r"^VmRSS:\s+(\d+) kB$", (of / "status").read_text(), re.MULTILINE)
        # Fields 14 and 15 of proc(5); the name in brackets may hold anything.
        ticks = (of / "stat").read_text().rpartition(")")[2].split()[11:13]
        return {"threads": threads, "rss_kib": int(rss), "cpu_seconds": sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")}


FRESH = 5


def first_requests(bundle: Bundle, name: str, collector: Collector, log: Path) -> dict[str, str]:
    """What a fresh process takes until it listens and for its first request: medians of a few."""
    user = load.User("first", f"pk-lf-{name}-first", f"sk-lf-{name}-first")
    starts, firsts = [], []
    for _ in range(FRESH):
        worker = Worker(bundle, collector.url, log, tracing=name != "untraced")
        outcome = asyncio.run(load.run(worker.port, [user], range(1), 1, 10.0, lambda _: None))
        worker.stop()
        starts.append(worker.start_seconds)
        firsts.append(outcome.quantile(0.5))
    return {"start until it listens": f"{median(starts) * 1000:.0f} ms", "first request": f"{median(firsts):.1f} ms"}
