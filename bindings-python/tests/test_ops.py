"""Measuring, reporting and warning, inside one process."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from tracespool import ops
from tracespool.ops import Guard, MemoryLog, Monitor, memory, monitor, request_memory

MB = memory.MB


@pytest.fixture
def rss(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The RSS that everything reads, in MB."""
    level = {"mb": 100.0}
    for module in (monitor, request_memory):
        monkeypatch.setattr(module, "rss_bytes", lambda: int(level["mb"] * MB))
    return level


def test_nothing_is_loaded_before_it_is_used() -> None:
    source = """
import sys, tracespool
assert not [name for name in sys.modules if name.startswith("tracespool.ops")]
import tracespool.ops
assert not [name for name in sys.modules if name.startswith("tracespool.ops.")]
for name in tracespool.ops.__all__:
    getattr(tracespool.ops, name)
print([name for name in ("asyncio", "typing", "ctypes", "opentelemetry", "trio") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-S", "-c", source], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.replace("'", '"'))
    assert not {"asyncio", "ctypes", "opentelemetry", "trio"} & set(loaded), loaded


@pytest.mark.skipif(sys.platform != "linux", reason="getrusage elsewhere knows only the peak")
def test_rss_follows_what_is_allocated_and_given_back() -> None:
    before = memory.rss_bytes()
    block = bytearray(64 * MB)
    block[:: 4096] = b"x" * len(block[::4096])
    held = memory.rss_bytes()
    del block
    assert 60 * MB < held - before < 80 * MB
    memory.trim()
    assert memory.rss_bytes() - before < 20 * MB
    with open("/proc/self/status") as file:
        told = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))
    assert abs(told - memory.rss_bytes()) < 4 * MB


def test_rss_without_proc_is_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(FileNotFoundError()))
    assert memory.rss_bytes() > 5 * MB


# Requests.


def test_a_request_that_adds_memory_is_logged_with_everything(rss: dict[str, float], caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryLog(threshold_mb=20)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        rss["mb"] += scope["add"]

    asgi = ops.ASGIMemory(app, log)

    def request(path: str, add: float, *headers: tuple[bytes, bytes]) -> None:
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "add": add}
        asyncio.run(asgi(scope, None, None))

    with caplog.at_level(logging.INFO, "tracespool.ops"):
        request("/chat/17", 30, (b"X-Request-Id", b"r-1\nforged line"))
        request("/chat/18", 5)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    fields = vars(record)
    assert (fields["rss_before_mb"], fields["rss_after_mb"], fields["delta_mb"]) == (100.0, 130.0, 30.0)
    assert fields["concurrent"] == 1 and fields["worker_pid"] == os.getpid() and fields["route"] == "POST /chat/*"
    assert "forged" not in record.getMessage() and "\n" not in record.getMessage()
    assert "delta_mb=30.0" in record.getMessage()
    request("/cheap", 0)
    assert [(row["route"], row["retained_mb"], row["requests"]) for row in log.routes()] == [("POST /chat/*", 35.0, 2), ("POST /cheap", 0.0, 1)]


HEADERS = [(b"X-Request-Id", b"r-1"), (b"X-Correlation-Id", b"c-1"), (b"traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01".encode())]


@pytest.mark.parametrize("outside", [True, False])
@pytest.mark.parametrize(("headers", "expected"), [(HEADERS, "c-1"), (HEADERS[:1], "r-1"), ([], None)])
def test_memory_lines_have_the_correlation_id_of_the_other_log_lines(
    rss: dict[str, float], caplog: pytest.LogCaptureFixture, outside: bool, headers: Any, expected: str | None
) -> None:
    from tracespool.integrations import request
    from tracespool.integrations.asgi import TracespoolMiddleware

    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(request.correlation_id())

    log = MemoryLog(one_in=1)
    wrapped = ops.ASGIMemory(TracespoolMiddleware(app), log) if outside else TracespoolMiddleware(ops.ASGIMemory(app, log))
    with caplog.at_level(logging.INFO, "tracespool.ops"):
        asyncio.run(wrapped({"type": "http", "method": "GET", "path": "/", "headers": headers}, None, None))
    (record,) = caplog.records
    assert [vars(record)["correlation_id"]] == seen and (expected is None or seen == [expected])


@pytest.mark.parametrize(("headers", "expected"), [(HEADERS, "c-1"), (HEADERS[:1], "r-1"), (HEADERS[2:], "ab" * 16)])
def test_without_the_other_middleware_the_order_is_the_same(rss: dict[str, float], caplog: pytest.LogCaptureFixture, headers: Any, expected: str) -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        pass

    def wsgi(environ: Any, start: Any) -> Any:
        return [b""]

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
    environ |= {f"HTTP_{name.decode().upper().replace('-', '_')}": value.decode() for name, value in headers}
    log = MemoryLog(one_in=1)
    with caplog.at_level(logging.INFO, "tracespool.ops"):
        asyncio.run(ops.ASGIMemory(asgi, log)({"type": "http", "method": "GET", "path": "/", "headers": headers}, None, None))
        ops.WSGIMemory(wsgi, log)(environ, lambda *_: None).close()  # type: ignore[attr-defined]
    assert [vars(record)["correlation_id"] for record in caplog.records] == [expected, expected]


def test_one_in_n_is_logged(rss: dict[str, float], caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryLog(one_in=10)
    with caplog.at_level(logging.INFO, "tracespool.ops"):
        for _ in range(35):
            log.end(log.begin(), "GET /")
    assert len(caplog.records) == 3 and {record.levelno for record in caplog.records} == {logging.INFO}


def test_what_requests_add_together_is_divided_among_them(rss: dict[str, float]) -> None:
    log = MemoryLog()
    first, second = log.begin(), log.begin()
    assert log.concurrent == 2
    rss["mb"] += 40
    seen = [log.end(first, "GET /a"), log.end(second, "GET /b")]
    assert [row["concurrent"] for row in seen] == [2, 2] and log.concurrent == 0
    assert [(row["retained_mb"], row["alone"]) for row in log.routes()] == [(20.0, 0), (20.0, 0)]


def test_routes_are_bounded(rss: dict[str, float]) -> None:
    log = MemoryLog()
    for number in range(2000):
        log.end(log.begin(), f"GET /{number}")
    rows = log.routes(None)
    assert len(rows) == 513 and sum(row["requests"] for row in rows) == 2000


def test_a_request_that_fails_has_ended_too(rss: dict[str, float]) -> None:
    log = MemoryLog()

    def broken(environ: Any, start: Any) -> Any:
        raise ValueError("broken")

    def streams(environ: Any, start: Any) -> Any:
        start("200 OK", [("Content-Type", "text/plain")])
        yield b"a"
        raise ValueError("broken later")

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/x", "HTTP_TRACEPARENT": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    with pytest.raises(ValueError):
        ops.WSGIMemory(broken, log)(environ, lambda *_: None)
    body = ops.WSGIMemory(streams, log)(environ, lambda *_: None)
    assert log.concurrent == 1
    with pytest.raises(ValueError):
        list(body)
    body.close()  # type: ignore[attr-defined]
    body.close()  # type: ignore[attr-defined]
    assert log.concurrent == 0 and log.requests == 2


def test_the_framework_s_route_is_taken() -> None:
    from fastapi import FastAPI

    log = MemoryLog()
    app = FastAPI()

    @app.get("/users/{name}")
    async def user(name: str) -> str:
        return name

    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/users/ada", "raw_path": b"/users/ada", "query_string": b"", "headers": [], "http_version": "1.1"}
    asyncio.run(ops.ASGIMemory(app, log)(scope, receive, send))
    assert sent[0]["status"] == 200
    assert log.routes()[0]["route"] == "GET /users/{name}"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_worker_counts_for_itself() -> None:
    log, watch, limit = MemoryLog(), Monitor(), Guard(soft_mb=1e6, hard_mb=2e6)
    log.begin()
    log._process.lock.acquire()  # a thread of the parent is in it
    watch._lock.acquire()
    limit._lock.acquire()
    child = os.fork()
    if child == 0:
        ok = False
        try:
            log.end(log.begin(), "GET /")
            ok = log.concurrent == 0 and log.requests == 1 and watch.sample()["pid"] == os.getpid() and limit.check() == "ok"
        finally:
            os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# The monitor.


def test_a_sample_counts_what_there_is() -> None:
    import socket

    watch = Monitor()
    contexts = watch.counter("browser_contexts")
    watch.register("mcp_connections", lambda: 7)
    watch.register("broken", lambda: 1 / 0)

    async def main() -> dict[str, Any]:
        tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(5)]
        await asyncio.sleep(0)
        try:
            return watch.sample()
        finally:
            for task in tasks:
                task.cancel()

    before = watch.sample()
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    pair = socket.socketpair()
    idle = asyncio.new_event_loop()
    with contexts.held():
        now = asyncio.run(main())
    stop.set()
    for thread in threads:
        thread.join()
    for end in pair:
        end.close()
    idle.close()
    assert now["threads"] - before["threads"] == 3
    assert now["sockets"] - before["sockets"] == 2 + 2 * 2, "the pair, and one pair for each loop"
    assert now["asyncio_tasks"] == 6 and now["event_loops"] == 1
    if sys.platform == "linux":
        assert now["event_polls"] - before["event_polls"] == 2, "the idle loop is seen as well"
    assert now["counters"] == {"browser_contexts": 1, "mcp_connections": 7} and contexts.value == 0
    assert now["tracing"]["bytes_limit"] > 0


def test_tasks_of_loops_in_other_threads_are_counted() -> None:
    ready, stop = threading.Event(), threading.Event()

    async def other() -> None:
        ready.set()
        while not stop.is_set():
            await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(other()))
    thread.start()
    ready.wait(5)
    sample = Monitor().sample()
    stop.set()
    thread.join()
    assert sample["asyncio_tasks"] >= 1 and sample["event_loops"] >= 1


def _drive(monkeypatch: pytest.MonkeyPatch, watch: Monitor, values: list[float]) -> list[str]:
    """One sample each ten seconds."""
    clock, at = {"now": 1000.0}, {"value": 0.0}
    monkeypatch.setattr(monitor.time, "monotonic", lambda: clock["now"])
    watch.register("contexts", lambda: at["value"])
    for value in values:
        at["value"] = value
        watch.sample()
        clock["now"] += 10
    return list(watch.growing)


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        (list(range(0, 140, 2)), True),  # only grows
        ([min(i, 20) for i in range(140)], False),  # grew once and is level since
        ([i % 30 for i in range(70)], False),  # comes and goes
        (list(range(50)), False),  # not a window yet
        ([5] * 70, False),
    ],
)  # fmt: skip
def test_what_only_grows_is_warned_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, values: list[float], warned: bool) -> None:
    watch = Monitor(window=600)
    with caplog.at_level(logging.WARNING, "tracespool.ops"):
        growing = _drive(monkeypatch, watch, values)
    lines = [record.getMessage() for record in caplog.records if "contexts" in record.getMessage()]
    assert ("contexts" in growing) == warned
    assert len(lines) == (1 if warned else 0)


def test_the_warning_comes_once_a_window(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    watch = Monitor(window=600)
    with caplog.at_level(logging.WARNING, "tracespool.ops"):
        _drive(monkeypatch, watch, list(range(190)))
    assert len([record for record in caplog.records if "contexts" in record.getMessage()]) == 3
    assert all(len(points) <= 64 for points in watch._history.values())


def test_ticks_sample_no_oftener_than_the_interval() -> None:
    watch, seen = Monitor(interval=60), []
    watch.register("it", lambda: len(seen) or seen.append(1) or 1)
    for _ in range(1000):
        watch.tick()
    assert len(seen) == 1

    async def main() -> None:
        watch.interval = 0.05
        watch._due = 0.0
        task = asyncio.create_task(watch.run())
        before = threading.active_count()
        await asyncio.sleep(0.2)
        assert threading.active_count() == before
        task.cancel()

    asyncio.run(main())


def test_requests_drive_the_monitor(rss: dict[str, float]) -> None:
    watch = Monitor(interval=60)
    log = MemoryLog(monitor=watch)
    assert watch._latest is None
    for _ in range(100):
        log.end(log.begin(), "GET /")
    assert watch._latest is not None and all(len(points) == 1 for points in watch._history.values())
