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
from prometheus_client.parser import text_string_to_metric_families

_COMMON = """
import logging, os, time
logging.basicConfig(level=logging.INFO, format="%(message)s")
import tracespool
from tracespool import ops
kept = []
client = tracespool.Client(public_key="pk-servers", secret_key="sk", base_url="http://127.0.0.1:9")
log = ops.MemoryLog(threshold_mb=30)
monitor = ops.Monitor()
guard = ops.Guard(soft_mb=ops.rss_bytes() / 1048576 + 30, hard_mb=ops.rss_bytes() / 1048576 + 70, interval=0, min_uptime=0, jitter=0)
health = ops.Health(alert_rss_mb=guard.soft_mb, guard=guard)
def grow(mb=100):
    kept.append(bytearray(b"x" * mb * 1048576))
def serve(path):
    # A service that names its own client: the current one is not asked for.
    with client.start_as_current_observation(name="request", input=path):
        if path == "/grow":
            grow()
        if path == "/some":
            grow(45)
        if path == "/free":
            kept.clear()
            ops.memory.trim()
"""

_WSGI = (
    _COMMON
    + """
def app(environ, start):
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(2.0)
    serve(path)
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
app = ops.WSGIEndpoints(ops.WSGIMemory(ops.WSGIGuard(app, guard), log), monitor=monitor, memory=log, health=health)
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
    serve(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
app = ops.ASGIEndpoints(ops.ASGIMemory(ops.ASGIGuard(app, guard), log), monitor=monitor, memory=log, health=health)
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


LOADED = [case for case in REPLACED if case.id in ("gunicorn-gthread", "gunicorn-asgi", "uvicorn-workers")]


@pytest.mark.parametrize(("source", "command", "hook"), LOADED)
def test_no_request_fails_while_a_worker_is_replaced_under_load(tmp_path: Path, source: str, command: tuple[str, ...], hook: str) -> None:
    with _serving(tmp_path, source, *command, hook=hook) as (port, process):
        _up(port, process)
        answers, failures, resets, stop = [], [], [], threading.Event()

        def load() -> None:
            while not stop.is_set():
                try:
                    answers.append(_get(port, "/", 20.0))
                except ConnectionResetError:
                    resets.append(time.monotonic())
                except Exception as error:
                    failures.append(repr(error))

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            replaced = set()
            for _ in range(3):
                time.sleep(0.5)
                grown = _get(port, "/grow", 20.0)
                replaced.add(grown)
                deadline = time.monotonic() + 15
                while answers[-1] == grown and time.monotonic() < deadline:
                    time.sleep(0.05)
            time.sleep(1.0)
        finally:
            stop.set()
            for thread in threads:
                thread.join(25)
        # uvicorn closes what it has accepted and not read from yet, whoever stops it; proxies repeat such requests. One for each
        # client and replacement at the most.
        allowed = len(threads) * len(replaced) if "uvicorn" in command else 0
        assert len(resets) <= allowed, (len(resets), len(answers))
        assert not failures and len(answers) > 50, (failures[:5], len(failures), len(answers))
        assert not replaced & set(answers[-4:]) and len(set(answers)) > len(replaced), "others serve"


def _figures(port: int) -> dict[tuple[str, str | None], float]:
    families = text_string_to_metric_families(_get(port, "/metrics"))
    return {
        (sample.name, sample.labels.get("reason")): sample.value
        for family in families
        for sample in family.samples
        if sample.labels.get("lane", "observations") == "observations"
    }


SINGLE = [
    pytest.param(_ASGI, _UVICORN, id="uvicorn"),
    pytest.param(_WSGI, (*_GUNICORN, "gthread"), id="gunicorn"),
]


@pytest.mark.parametrize(("source", "command"), SINGLE)
def test_above_the_soft_limit_tracing_is_shed_and_nothing_else(tmp_path: Path, source: str, command: tuple[str, ...]) -> None:
    submitted, shed, share = ("tracespool_items_submitted_total", None), ("tracespool_items_dropped_total", "shed"), ("tracespool_admission", None)
    with _serving(tmp_path, source, *command) as (port, process):
        pid = _up(port, process)
        before = _figures(port)
        assert _get(port, "/some") == pid
        above = _figures(port)
        assert above[share] == 0 and before[share] == 1
        assert above[submitted] == before[submitted] + 1 and shed not in above, "it was begun below the limit"
        retained = {
            sample.labels["route"]: sample.value / 1048576
            for family in text_string_to_metric_families(_get(port, "/metrics"))
            for sample in family.samples
            if sample.name == "tracespool_http_route_retained_bytes"
        }
        assert 40 < retained["GET /some"] < 60 and retained["GET /some"] == max(retained.values()) and "GET /" in retained
        assert [_get(port, "/") for _ in range(5)] == [pid] * 5
        during = _figures(port)
        assert during[submitted] == above[submitted] + 5 and during[shed] == 5
        assert json.loads(_get(port, "/health"))["guard"] == "soft"
        _get(port, "/free")
        assert [_get(port, "/") for _ in range(3)] == [pid] * 3
        after = _figures(port)
        assert after[share] == 1 and after[shed] == 6 and after[submitted] == during[submitted] + 4
        health = json.loads(_get(port, "/health"))
        assert health["guard"] == "ok" and health["memory"]["rss_mb"] < health["memory"]["alert_rss_mb"]


@pytest.mark.parametrize(("source", "command"), SINGLE)
def test_a_real_crossing_of_the_alert_is_one_line(tmp_path: Path, source: str, command: tuple[str, ...]) -> None:
    with _serving(tmp_path, source, *command) as (port, process):
        _up(port, process)
        alerts = [json.loads(_get(port, "/health"))["memory"]["alert"] for _ in range(3)]
        _get(port, "/some")
        alerts += [json.loads(_get(port, "/health"))["memory"]["alert"] for _ in range(5)]
        assert alerts == [False] * 3 + [True] * 5
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        said = process.communicate(timeout=15)[0]
    lines = [line for line in said.splitlines() if line.startswith("rss is above")]
    assert len(lines) == 1, said


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
