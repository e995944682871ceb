"""deploy/gunicorn.conf.py in real use: workers are replaced by requests and by memory, and nothing that they traced is lost."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from program import PUBLIC_KEY, SECRET_KEY, environment
from tools import DEPLOY, ROOT

OBSERVATIONS, SCORES = 4, 2  # of one question to the example's agent
REQUESTS = 300


def command(*more: str) -> list[str]:
    """gunicorn as deploy/backend/Dockerfile starts it."""
    config = ["--config", str(DEPLOY / "gunicorn.conf.py"), "--chdir", str(DEPLOY / "backend")]
    return [sys.executable, "-m", "gunicorn", *config, *more, "service:app"]


@pytest.fixture
def backend(receiver, tmp_path) -> Iterator[Callable[..., tuple[subprocess.Popen[bytes], int]]]:
    """Starts it on a free port."""
    running: list[subprocess.Popen[bytes]] = []

    def start(**settings: str) -> tuple[subprocess.Popen[bytes], int]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        env = environment(receiver.url, PYTHONPATH=str(ROOT), BIND=f"127.0.0.1:{port}", **settings)
        with open(tmp_path / "gunicorn.log", "wb") as log:
            running.append(subprocess.Popen(command(), env=env, stderr=log, start_new_session=True))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                health(port)
                return running[-1], port
            except OSError:
                time.sleep(0.05)
        raise AssertionError((tmp_path / "gunicorn.log").read_text())

    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def health(port: int) -> dict:
    """What `/health` says."""
    return json.loads(request(port, "GET", "/health"))


def ask(port: int) -> int:
    """A question to the agent; returns its observations."""
    headers = {"content-type": "application/json", "x-public-key": PUBLIC_KEY, "x-secret-key": SECRET_KEY}
    return json.loads(request(port, "POST", "/ask", json.dumps({"text": "refund"}), headers))["observations"]


def request(port: int, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"connection": "close", **(headers or {})})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        return response.read()
    finally:
        connection.close()


def ended(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_gunicorn_takes_the_configuration():
    env = environment("http://127.0.0.1:9", PYTHONPATH=str(ROOT))
    done = subprocess.run(command("--check-config"), env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(command("--print-config"), env=env, capture_output=True, text=True, timeout=60)
    said = dict(line.split("=", 1) for line in done.stdout.replace(" ", "").splitlines() if "=" in line)
    assert (said["preload_app"], said["max_requests"], said["max_requests_jitter"]) == ("True", "5000", "500")
    assert said["worker_class"] == "asgi" and int(said["graceful_timeout"]) < 40


def test_workers_that_are_replaced_by_requests_lose_nothing(receiver, backend):
    process, port = backend(MAX_REQUESTS="60")
    pids: set[int] = set()

    def one(number: int) -> int:
        if number % 10 == 0:
            pids.add(health(port)["pid"])
        return ask(port)

    asked, deadline = 0, time.monotonic() + 40
    with ThreadPoolExecutor(8) as pool:
        # A worker that has had enough says so at once and leaves with its next heartbeat, a second later.
        while len(pids) <= 3 and time.monotonic() < deadline:
            assert sum(pool.map(one, range(REQUESTS))) == REQUESTS * OBSERVATIONS
            asked += REQUESTS
    ended(process)
    assert len(pids) > 3, "the two workers of the beginning did all of it"
    assert receiver.whole() == (asked * OBSERVATIONS, asked * SCORES, 0, 0)


def test_a_worker_above_its_memory_is_replaced_and_loses_nothing(receiver, backend):
    # Every worker is above these limits from the beginning, and is replaced after its first second.
    process, port = backend(GUARD_SOFT_MB="1", GUARD_SOFT_SHARE="1", GUARD_HARD_MB="2", GUARD_MIN_UPTIME="1")
    pids: set[int] = set()
    answered = 0
    deadline = time.monotonic() + 20
    while len(pids) < 4 and time.monotonic() < deadline:
        pids.add(health(port)["pid"])
        answered += ask(port)
        time.sleep(0.02)
    ended(process)
    assert len(pids) >= 4
    assert receiver.whole() == (answered, answered // OBSERVATIONS * SCORES, 0, 0)
