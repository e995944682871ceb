"""Every way to deploy, under load, beside itself untraced: nothing lost, nothing doubled, one thread more, memory flat."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
from collections import Counter
from pathlib import Path

import load
import pytest
from deployed import OBSERVATIONS, SCORES, Measured, deployed, free_port, measured
from program import PUBLIC_KEY

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads and memory in /proc"),
    pytest.mark.timeout(400),
]

REQUESTS = int(os.environ.get("TRACESPOOL_REQUESTS", "5000"))
WARM = REQUESTS // 5
GROWTH, GROWTH_PER_PROCESS = 3.0, 1.0
"""MiB that a traced service may have grown by more than its untraced twin, over the last 80 % of the requests. What waits while
the collector is slow leaves a high-water mark. A leak of 1.1 KiB a request in one process, of 2 KiB in four, is above it."""

GUNICORN = ["gunicorn", "--log-level", "warning", "--no-control-socket", "--graceful-timeout", "20", "--bind", "127.0.0.1:{port}"]
UVICORN = ["uvicorn", "--log-level", "warning", "--port", "{port}"]
DEPLOYMENTS = {
    "Flask, gunicorn threads": [*GUNICORN, "-w", "2", "-k", "gthread", "--threads", "8", "flask_service:app"],
    "Flask, gunicorn --preload": [*GUNICORN, "-w", "4", "--preload", "flask_service:app"],
    "Flask, gunicorn gevent": [*GUNICORN, "-w", "2", "-k", "gevent", "flask_service:app"],
    "Flask, gunicorn gevent --preload": [*GUNICORN, "-w", "4", "-k", "gevent", "--preload", "flask_service:app"],
    "Django, gunicorn --preload": [*GUNICORN, "-w", "4", "--preload", "django_service:application"],
    "Django, uvicorn": [*UVICORN, "--lifespan", "off", "django_service:asgi"],
    "FastAPI, uvicorn": [*UVICORN, "fastapi_service:app"],
    "FastAPI, uvicorn --workers": [*UVICORN, "--workers", "2", "fastapi_service:app"],
}


def served(name: str, url: str, folder: Path, settle, *, traced: bool) -> Measured:
    """Runs a deployment through the whole load and ends it."""
    port = free_port()
    command = [part.format(port=port) for part in DEPLOYMENTS[name]]
    path = "/awork" if "asgi" in command[-1] else "/work"
    preload = {"PRELOAD": "1"} if "--preload" in command and "flask" in command[-1] else {}
    with deployed(command, url, folder, traced=traced, **preload) as service:
        load.ready(port, path)

        def ask(numbers: range) -> set[int]:
            return load.run(port, path, range(max(1, numbers.start), numbers.stop))

        try:
            found = measured(ask, WARM, REQUESTS, settle)
        except Exception as error:
            raise AssertionError(f"{error!r}: {service.said()}") from error
        service.stop()
    return found


@pytest.fixture
def settle(receiver):
    """Waits until what so many requests traced is stored."""

    def wait(requests: int) -> None:
        deadline = time.monotonic() + 30
        while receiver.whole()[0] < requests * OBSERVATIONS and time.monotonic() < deadline:
            time.sleep(0.1)

    return wait


def everything_once(receiver, extra: int = 0) -> None:
    """Each number was traced by one generation with one score, and by one request or task."""
    assert receiver.whole() == (REQUESTS * OBSERVATIONS + extra, REQUESTS * SCORES, 0, 0)
    with contextlib.closing(sqlite3.connect(f"file:{receiver.data / 'traces.db'}?mode=ro", uri=True)) as database:
        rows = database.execute(
            "SELECT json_extract(input, '$.number'), parent IS NULL, received FROM observations WHERE name = 'answer'"
        ).fetchall()
    assert Counter(number for number, _, _ in rows) == Counter(range(REQUESTS))
    assert {(rootless, received) for _, rootless, received in rows} == {(0, 1)}, "below its request, received once"


def compare(traced: Measured, plain: Measured, name: str) -> None:
    """One thread more in each process, and memory that grows no more than untraced."""
    exporters = {one.exporters for one in traced.loaded.values()}
    print(
        f"{name}: {len(traced.loaded)} processes, {traced.seconds:.1f} s traced, {plain.seconds:.1f} s untraced, threads "
        f"{sorted(one.threads + one.exporters for one in traced.loaded.values())} / "
        f"{sorted(one.threads for one in plain.loaded.values())}, growth {traced.growth:+.1f} / {plain.growth:+.1f} MiB"
    )
    assert exporters == {1}, "the export thread, once in each process that traced"
    assert {one.exporters for one in plain.loaded.values()} == {0}
    assert max(one.threads for one in traced.loaded.values()) <= max(one.threads for one in plain.loaded.values())
    assert traced.growth - plain.growth <= GROWTH + GROWTH_PER_PROCESS * len(traced.loaded)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_web_service(name, receiver, tmp_path, settle):
    traced = served(name, receiver.url, tmp_path / "traced", settle, traced=True)
    preloaded = 2 if "--preload" in name and name.startswith("Flask") else 0
    everything_once(receiver, preloaded)
    plain = served(name, receiver.url, tmp_path / "plain", lambda _: time.sleep(1), traced=False)
    assert len(traced.loaded) == len(plain.loaded)
    compare(traced, plain, name)
    everything_once(receiver, preloaded)
