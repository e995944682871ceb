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
from wsgiref.validate import validator

import pytest
import tracespool
from prometheus_client.parser import text_string_to_metric_families
from tracespool import ops
from tracespool.ops import Guard, Health, MemoryLog, Monitor, guard, health, memory, metrics, monitor, request_memory

MB = memory.MB


@pytest.fixture
def rss(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The RSS that everything reads, in MB."""
    level = {"mb": 100.0}
    for module in (guard, health, monitor, request_memory, metrics):
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
    assert fields["correlation_id"] == "r-1_forged_line" and "\n" not in record.getMessage()
    assert "delta_mb=30.0" in record.getMessage()
    request("/cheap", 0)
    assert [(row["route"], row["retained_mb"], row["requests"]) for row in log.routes()] == [("POST /chat/*", 35.0, 2), ("POST /cheap", 0.0, 1)]


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


# Health and metrics.


def test_the_alert_is_logged_once_each_way(rss: dict[str, float], caplog: pytest.LogCaptureFixture) -> None:
    it = Health()
    seen = []
    with caplog.at_level(logging.INFO, "tracespool.ops"):
        for level in (100, 499, 501, 600, 495, 501, 480, 100):
            rss["mb"] = level
            report = it.report()
            seen.append(report["memory"]["alert"])
            assert report["memory"]["rss_mb"] == level and report["memory"]["alert_rss_mb"] == 500
    assert seen == [False, False, True, True, True, True, False, False]
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.INFO]
    assert Health(fail_on_alert=True, alert_rss_mb=1).check() and it.status_code() == 200


def test_endpoints_answer_and_pass_the_rest(rss: dict[str, float]) -> None:
    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [("Content-Type", "text/plain")])
        return [b"app"]

    wrapped = validator(ops.WSGIEndpoints(ops.WSGIMemory(app), health=Health(alert_rss_mb=50, fail_on_alert=True), monitor=Monitor()))

    def get(path: str, method: str = "GET") -> tuple[str, bytes]:
        from wsgiref.util import setup_testing_defaults

        environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method, "QUERY_STRING": "", "SCRIPT_NAME": ""}
        setup_testing_defaults(environ)
        status = []
        body = wrapped(environ, lambda line, headers, _=None: status.append(line) or (lambda _: None))
        try:
            return status[0] if status else "", b"".join(body)
        finally:
            body.close()

    status, body = get("/health")
    assert status.startswith("503") and json.loads(body)["status"] == "alert"
    assert get("/metrics")[1].startswith(b"# HELP")
    assert get("/")[1] == b"app" and get("/health", "POST")[1] == b"app"


def test_prometheus_text_is_read_by_its_own_parser(dead_client: tracespool.Client) -> None:
    watch = Monitor()
    nasty = 'a"b\\c\nd{}=,'
    watch.register(nasty, lambda: 3)
    watch.register("not_a_number", lambda: float("nan"))
    watch.register("endless", lambda: float("inf"))
    watch.register("third", lambda: 1 / 3)
    before = tracespool.stats()["observations"]["submitted"]
    with dead_client.start_as_current_observation(name="x"):
        pass
    log = MemoryLog()
    log.end(log.begin(), 'GET /"x"\\')
    text = ops.prometheus(monitor=watch, memory=log, health=Health(), labels={"pid": "1"})
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = {(sample.name, sample.labels.get("name"), sample.labels.get("lane")): sample for family in families.values() for sample in family.samples}
    assert samples["tracespool_process_counted", nasty, None].value == 3
    assert samples["tracespool_process_counted", "third", None].value == 1 / 3
    assert samples["tracespool_process_counted", "endless", None].value == float("inf")
    assert samples["tracespool_items_submitted_total", None, "observations"].value == before + 1
    assert all(sample.labels["pid"] == "1" for sample in samples.values())
    for family in families.values():
        assert family.type in ("counter", "gauge") and family.documentation
        assert all(sample.name.endswith("_total") == (family.type == "counter") for sample in family.samples)
    headers = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(headers) == len(set(headers)) == len(families)


def test_opentelemetry_reads_the_same() -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    watch = Monitor()
    watch.register("browser_contexts", lambda: 4)
    assert ops.opentelemetry(monitor=watch, meter_provider=MeterProvider([reader]))
    data = reader.get_metrics_data()
    found = {metric.name: metric for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics}
    (point,) = found["tracespool.process_counted"].data.data_points
    assert point.value == 4 and dict(point.attributes) == {"name": "browser_contexts"}
    assert found["tracespool.items_submitted"].data.is_monotonic
    assert {dict(point.attributes)["lane"] for point in found["tracespool.items_submitted"].data.data_points} == {"observations", "scores", "media"}


def test_without_opentelemetry_the_adapter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert ops.opentelemetry() is False


# The guard.


def test_above_the_soft_limit_requests_are_not_traced(rss: dict[str, float], client: tracespool.Client, sent: Any, caplog: pytest.LogCaptureFixture) -> None:
    switched, inside = [], []
    limit = Guard(soft_mb=200, hard_mb=400, on_soft=switched.append, interval=0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        inside.append(tracespool.get_client().enabled)
        with tracespool.get_client().start_as_current_observation(name=f"request-{len(inside)}"):
            pass

    asgi = ops.ASGIGuard(app, limit)
    with caplog.at_level(logging.INFO, "tracespool.ops"):
        for level in (100, 250, 195, 100):
            rss["mb"] = level
            asyncio.run(asgi({"type": "http"}, None, None))
    assert inside == [True, False, False, True] and switched == [True, False] and limit.untraced == 2
    assert {"request-1", "request-4"} == set(sent())
    assert [record.levelno for record in caplog.records if "limit" in record.getMessage()] == [logging.WARNING, logging.INFO]


def test_above_the_hard_limit_the_worker_is_recycled_once(rss: dict[str, float]) -> None:
    recycled = []
    limit = Guard(soft_mb=200, hard_mb=400, recycle=lambda: recycled.append(1), interval=0, min_uptime=0)
    rss["mb"] = 500
    assert [limit.check() for _ in range(3)] == ["recycling"] * 3 and recycled == [1]


def test_a_limit_that_is_too_low_does_not_recycle_for_ever(rss: dict[str, float], caplog: pytest.LogCaptureFixture) -> None:
    recycled = []
    limit = Guard(soft_mb=20, hard_mb=40, recycle=lambda: recycled.append(1), interval=0)
    with caplog.at_level(logging.ERROR, "tracespool.ops"):
        assert [limit.check() for _ in range(3)] == ["soft"] * 3
    assert not recycled and len(caplog.records) == 1 and "too low" in caplog.text


def test_no_signal_where_nothing_handles_it(rss: dict[str, float], caplog: pytest.LogCaptureFixture) -> None:
    limit = Guard(soft_mb=20, hard_mb=40, interval=0, min_uptime=0)
    assert limit.check() == "recycling"  # and we live
    assert "could not be recycled" in caplog.text


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="soft_mb=500"):
        Guard(soft_mb=500, hard_mb=400)


def test_wsgi_responses_are_untraced_to_their_end(rss: dict[str, float], client: tracespool.Client) -> None:
    rss["mb"] = 250
    seen = []

    def app(environ: Any, start: Any) -> Any:
        seen.append(tracespool.get_client().enabled)
        yield b"a"
        seen.append(tracespool.get_client().enabled)

    body = ops.WSGIGuard(app, Guard(soft_mb=200, hard_mb=400, interval=0))({}, None)
    assert list(body) == [b"a"]
    body.close()  # type: ignore[attr-defined]
    assert seen == [False, False] and tracespool.get_client().enabled
