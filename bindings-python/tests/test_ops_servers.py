"""Real servers: the guard recycles a worker and no request under way is lost; health and metrics are served."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_COMMON = """
import logging, os, time
logging.basicConfig(level=logging.INFO, format="%(message)s")
from tracespool import ops
kept = []
log = ops.MemoryLog(threshold_mb=30)
monitor = ops.Monitor()
guard = ops.Guard(soft_mb=ops.rss_bytes() / 1048576 + 30, hard_mb=ops.rss_bytes() / 1048576 + 70, interval=0, min_uptime=0, jitter=0)
def grow():
    kept.append(bytearray(b"x" * 100 * 1048576))
"""

_WSGI = (
    _COMMON
    + """
def app(environ, start):
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(2.0)
    if path == "/grow":
        grow()
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
app = ops.WSGIEndpoints(ops.WSGIMemory(ops.WSGIGuard(app, guard), log), monitor=monitor, memory=log)
"""
)

_ASGI = (
    _COMMON
    + """
import asyncio
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/slow":
        await asyncio.sleep(2.0)
    if scope["path"] == "/grow":
        grow()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
app = ops.ASGIEndpoints(ops.ASGIMemory(ops.ASGIGuard(app, guard), log), monitor=monitor, memory=log)
"""
)

_OWN_SERVER = (
    _ASGI
    + """
import sys, uvicorn
from tracespool.ops.guard import stop_uvicorn
server = uvicorn.Server(uvicorn.Config(app, port=int(sys.argv[1]), log_level="warning"))
guard._recycle = stop_uvicorn(server)
server.run()
"""
)

_GUNICORN_HOOK = """
def post_worker_init(worker):
    import service
    from tracespool.ops.guard import stop_gunicorn
    service.guard._recycle = stop_gunicorn(worker)
"""


def _port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _get(port: int, path: str, timeout: float = 10.0) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout) as answer:
        return str(answer.read().decode())


def _up(port: int, process: subprocess.Popen[str], seconds: float = 25.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return _get(port, "/", 5.0)
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    raise AssertionError("the server does not answer")


@contextlib.contextmanager
def _serving(folder: Path, source: str, *command: str, hook: str = "") -> Iterator[tuple[int, subprocess.Popen[str]]]:
    (folder / "service.py").write_text(source)
    (folder / "gunicorn.conf.py").write_text(hook)
    port = _port()
    process = subprocess.Popen(
        [sys.executable, *(part.format(port=port) for part in command)],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    try:
        yield port, process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.communicate(timeout=10)
        except (subprocess.TimeoutExpired, ValueError):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


_GUNICORN = ("-m", "gunicorn", "-b", "127.0.0.1:{port}", "-w", "1", "--graceful-timeout", "20", "service:app", "-k")
_UVICORN = ("-m", "uvicorn", "--port", "{port}", "--log-level", "warning", "service:app")

REPLACED = [
    pytest.param(_WSGI, (*_GUNICORN, "sync"), "", id="gunicorn-sync"),
    pytest.param(_WSGI, (*_GUNICORN, "gthread", "--threads", "8"), "", id="gunicorn-gthread"),
    pytest.param(_WSGI, (*_GUNICORN, "gthread", "--threads", "8"), _GUNICORN_HOOK, id="gunicorn-gthread-alive"),
    pytest.param(_ASGI, (*_GUNICORN, "asgi"), "", id="gunicorn-asgi"),
    pytest.param(_ASGI, (*_UVICORN, "--workers", "2"), "", id="uvicorn-workers"),
]
ENDING = [
    pytest.param(_ASGI, _UVICORN, id="uvicorn"),
    pytest.param(_OWN_SERVER, ("service.py", "{port}"), id="uvicorn-should_exit"),
]


def _slow_beside_growth(port: int, alone: bool) -> tuple[list[str], str]:
    """Three slow requests, and one beside them that takes the worker over its limit."""
    answers: list[str] = []

    def slow() -> None:
        try:
            answers.append(_get(port, "/slow", 15.0))
        except Exception as error:
            answers.append(repr(error))

    threads = [threading.Thread(target=slow) for _ in range(0 if alone else 3)]
    for thread in threads:
        thread.start()
    time.sleep(0.0 if alone else 0.5)
    grown = _get(port, "/grow", 15.0)
    for thread in threads:
        thread.join(20)
    return answers, grown


@pytest.mark.parametrize(("source", "command", "hook"), REPLACED)
def test_the_worker_finishes_its_requests_and_is_replaced(tmp_path: Path, source: str, command: tuple[str, ...], hook: str) -> None:
    alone = "sync" in command
    with _serving(tmp_path, source, *command, hook=hook) as (port, process):
        _up(port, process)
        answers, grown = _slow_beside_growth(port, alone)
        assert all(answer.isdigit() for answer in answers) and len(answers) == (0 if alone else 3), answers
        deadline = time.monotonic() + 15
        while (now := _up(port, process)) == grown and time.monotonic() < deadline:
            time.sleep(0.1)
        assert now != grown, "another worker serves"
        assert process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        said = process.communicate(timeout=15)[0]
    assert f"pid {grown} finishes its requests and ends" in said
    assert "request memory: route=GET /grow" in said


@pytest.mark.parametrize(("source", "command"), ENDING)
def test_a_server_without_a_supervisor_finishes_and_ends(tmp_path: Path, source: str, command: tuple[str, ...]) -> None:
    with _serving(tmp_path, source, *command) as (port, process):
        first = _up(port, process)
        answers, grown = _slow_beside_growth(port, alone=False)
        assert answers == [first] * 3 and grown == first
        said = process.communicate(timeout=15)[0]
    assert "finishes its requests and ends" in said and "Traceback" not in said, said


@pytest.mark.parametrize(
    ("source", "command"),
    [
        pytest.param(_ASGI, _UVICORN, id="uvicorn"),
        pytest.param(_WSGI, (*_GUNICORN, "gthread"), id="gunicorn"),
    ],
)
def test_health_and_metrics_are_served(tmp_path: Path, source: str, command: tuple[str, ...]) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    with _serving(tmp_path, source, *command) as (port, process):
        pid = _up(port, process)
        for _ in range(5):
            _get(port, "/")
        health: dict[str, Any] = json.loads(_get(port, "/health"))
        assert health["status"] == "ok" and str(health["pid"]) == pid and 10 < health["memory"]["rss_mb"] < 200
        samples = {
            sample.name: sample.value
            for family in text_string_to_metric_families(_get(port, "/metrics"))
            for sample in family.samples
        }
        assert samples["tracespool_http_requests_total"] >= 5
        assert 0 < samples["tracespool_process_sockets"] < 50
        assert abs(samples["tracespool_process_resident_memory_bytes"] / 1048576 - health["memory"]["rss_mb"]) < 20
