"""A real collector for the session, and clients with keys of their own."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

for _name in [name for name in os.environ if name.startswith(("LANGFUSE_", "TRACESPOOL_", "OTEL_"))]:
    if _name != "TRACESPOOL_COLLECTOR":
        del os.environ[_name]

import tracespool

_ROOT = Path(__file__).resolve().parents[2]


def _binary() -> Path | None:
    named = os.environ.get("TRACESPOOL_COLLECTOR")
    target = Path(os.environ.get("CARGO_TARGET_DIR", _ROOT / "target"))
    candidates = [Path(named)] if named else [target / kind / "tracespool-collector" for kind in ("release", "debug")]
    return next((path for path in candidates if path.is_file()), None)


class Collector:
    """A running collector and what it has stored."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **query: Any) -> Any:
        text = "&".join(f"{key}={value}" for key, value in query.items())
        with urllib.request.urlopen(f"{self.url}{path}?{text}", timeout=10) as answer:
            return json.load(answer)

    def faults(self, *faults: dict[str, Any]) -> None:
        """Misbehaves so from now on, and in no other way."""
        request = urllib.request.Request(f"{self.url}/api/v1/faults", json.dumps(faults).encode(), method="PUT")
        with urllib.request.urlopen(request, timeout=10):
            pass

    def counts(self, key: str) -> dict[str, int]:
        return self.get("/api/v1/counts", project=key)

    def observations(self, key: str) -> dict[str, dict[str, Any]]:
        """By name."""
        return {row["name"]: row for row in self.get("/api/v1/observations", project=key, limit=1000)["data"]}

    def scores(self, key: str) -> list[dict[str, Any]]:
        return self.get("/api/v1/scores", project=key, limit=1000)["data"]

    def wait_for(self, key: str, observations: int, seconds: float = 10.0) -> int:
        deadline = time.monotonic() + seconds
        while (count := self.counts(key)["observations"]) < observations and time.monotonic() < deadline:
            time.sleep(0.05)
        return count


@contextlib.contextmanager
def running(data: Path, *arguments: str) -> Iterator[Collector]:
    """A collector of its own, that takes every key."""
    binary = _binary()
    if binary is None:
        pytest.skip("no collector: `cargo build -p tracespool-collector`, or name one in TRACESPOOL_COLLECTOR")
    command = [str(binary), "--data", str(data), "--listen", "127.0.0.1:0", "--any-key", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "listening on" in line:
                    break
            else:
                pytest.fail("the collector did not start")
            yield Collector(line.split()[-1])
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with running(tmp_path_factory.mktemp("collector")) as started:
        yield started


@pytest.fixture
def start_collector(tmp_path: Path) -> Iterator[Callable[..., Collector]]:
    """Starts collectors with arguments of their own."""
    with contextlib.ExitStack() as stack:
        numbers = itertools.count()
        yield lambda *arguments: stack.enter_context(running(tmp_path / f"collector-{next(numbers)}", *arguments))


_keys = itertools.count()


@pytest.fixture
def key() -> str:
    return f"pk-{os.getpid()}-{next(_keys)}"


@pytest.fixture
def client(collector: Collector, key: str) -> Iterator[tracespool.Client]:
    made = tracespool.Client(public_key=key, secret_key="sk-very-secret", base_url=collector.url)
    with made.use():
        yield made
    tracespool.cleanup_client(key, timeout=5.0)


@pytest.fixture
def sent(client: tracespool.Client, collector: Collector, key: str) -> Callable[[], dict[str, dict[str, Any]]]:
    """Flushes and returns the stored observations by name."""

    def read() -> dict[str, dict[str, Any]]:
        report = client.flush(5.0)
        assert report["complete"], report
        return collector.observations(key)

    return read


@pytest.fixture
def dead_client(key: str) -> Iterator[tracespool.Client]:
    """A client whose server cannot be reached."""
    made = tracespool.Client(public_key=key, secret_key="sk-very-secret", base_url="http://127.0.0.1:9")
    with made.use():
        yield made
    tracespool.cleanup_client(key, timeout=0.0)
