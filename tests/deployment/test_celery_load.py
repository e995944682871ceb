"""Celery's processes under load, with Redis as the broker, beside themselves untraced; and processes that are replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from broker import redis
from deployed import SERVICES, Deployed, Measured, deployed, measured
from installed import INSTALLED
from program import environment
from test_load import REQUESTS, WARM, compare, everything_once, settle  # noqa: F401: a fixture

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads and memory in /proc"),
    pytest.mark.timeout(400),
]

PROCESSES = 4
WORKER = ["celery", "-A", "jobs", "worker", "-l", "warning", "--concurrency", str(PROCESSES)]
WORKER += ["--without-gossip", "--without-mingle", "--without-heartbeat"]


@pytest.fixture
def broker(tmp_path):
    with redis(tmp_path) as url:
        yield url


def send(broker: str, numbers: range) -> set[int]:
    """Sends the tasks of these numbers and waits for them; returns the processes that ran them."""
    env = environment("http://127.0.0.1:9", PYTHONPATH=os.pathsep.join((str(SERVICES), str(INSTALLED))), TRACED="off")
    done = subprocess.run(
        [sys.executable, str(SERVICES / "send.py"), str(numbers.start), str(numbers.stop)],
        env=env | {"REDIS": broker},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def ended(worker: Deployed) -> None:
    """SIGTERM, and nothing to complain of."""
    said = worker.stop()
    assert "Traceback" not in said, said


def loaded(url: str, broker: str, folder: Path, settled, *, traced: bool) -> Measured:
    """A worker through the whole load."""
    with deployed(WORKER, url, folder, traced=traced, REDIS=broker) as worker:
        try:
            found = measured(lambda numbers: send(broker, numbers), WARM, REQUESTS, settled)
        except Exception as error:
            raise AssertionError(f"{error!r}: {worker.said()}") from error
        ended(worker)
    return found


def test_prefork_processes(receiver, broker, tmp_path, settle):  # noqa: F811
    traced = loaded(receiver.url, broker, tmp_path / "traced", settle, traced=True)
    everything_once(receiver)
    plain = loaded(receiver.url, broker, tmp_path / "plain", lambda _: time.sleep(1), traced=False)
    assert len(traced.loaded) == len(plain.loaded) == PROCESSES
    compare(traced, plain, "Celery, prefork, Redis")


def test_processes_that_are_replaced_every_hundred_tasks_lose_nothing(receiver, broker, tmp_path):
    worker = [*WORKER, "--max-tasks-per-child", "100"]
    with deployed(worker, receiver.url, tmp_path / "traced", traced=True, REDIS=broker) as service:
        pids = send(broker, range(REQUESTS))
        ended(service)
    assert len(pids) >= REQUESTS // 100 - PROCESSES
    everything_once(receiver)
