"""What is reported, and what happens at the limits."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
import tracespool
from prometheus_client.parser import text_string_to_metric_families
from tracespool import ops
from tracespool.ops import Guard, Health, MemoryLog, Monitor, guard, health, memory, metrics, monitor, request_memory

MB = memory.MB


@pytest.fixture
def rss(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, float]]:
    """The RSS that everything reads, in MB."""
    level = {"mb": 100.0}
    for module in (guard, health, monitor, request_memory, metrics):
        monkeypatch.setattr(module, "rss_bytes", lambda: int(level["mb"] * MB))
    yield level
    tracespool.set_admission(1.0)


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


NASTY = 'a"b\\c\nd{}=,é'


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
@pytest.mark.parametrize("labels", [{"service": NASTY, "pod": "p-7"}, lambda: {"service": NASTY, "pod": "p-7"}])
def test_the_endpoints_labels_are_on_each_line(rss: dict[str, float], dead_client: tracespool.Client, kind: str, labels: Any) -> None:
    watch = Monitor()
    watch.register("browser_contexts", lambda: 4)
    with dead_client.start_as_current_observation(name="x"):
        pass
    text = scrape(kind, monitor=watch, memory=MemoryLog(), labels=labels)
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert len(samples) > 30
    assert all(sample.labels["service"] == NASTY and sample.labels["pod"] == "p-7" for sample in samples)
    (counted,) = [sample for sample in samples if sample.name == "tracespool_process_counted"]
    assert counted.labels == {"service": NASTY, "pod": "p-7", "name": "browser_contexts"} and counted.value == 4
    keys = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("adapter", [ops.ASGIEndpoints, ops.WSGIEndpoints])
@pytest.mark.parametrize("name", ["a-b", "1a", "", "é", "a b", "__name__", "a\n", "lane", "route", 7])
def test_a_label_that_prometheus_would_not_take_is_refused_at_start(adapter: Any, name: Any) -> None:
    with pytest.raises(ValueError, match=f"labels: {re.escape(repr(name))} is"):
        adapter(None, labels={name: "x"})
    with pytest.raises(ValueError, match="labels"):
        ops.prometheus(labels={name: "x"})


@pytest.mark.parametrize("labels", [lambda: {"a-b": "x"}, lambda: 1 / 0, lambda: 7])
def test_labels_that_fail_at_a_scrape_cost_no_figure(labels: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert list(text_string_to_metric_families(scrape("asgi", labels=labels)))
    assert "its labels are left out" in caplog.text


def test_an_empty_label_is_none_and_numbers_are_text() -> None:
    text = ops.prometheus(labels={"pod": "", "zone": None, "port": 80})  # type: ignore[dict-item]
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert all("pod" not in sample.labels and "zone" not in sample.labels and sample.labels["port"] == "80" for sample in samples)


def scrape(kind: str, **options: Any) -> str:
    """The body of /metrics."""
    if kind == "wsgi":
        environ = {"PATH_INFO": "/metrics", "REQUEST_METHOD": "GET"}
        return b"".join(ops.WSGIEndpoints(None, **options)(environ, lambda *_: None)).decode()
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(ops.ASGIEndpoints(None, **options)({"type": "http", "method": "GET", "path": "/metrics"}, None, send))
    assert sent[0]["status"] == 200 and dict(sent[0]["headers"])[b"content-type"] == metrics.CONTENT_TYPE.encode()
    return str(sent[1]["body"].decode())


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


def test_above_the_soft_limit_new_traces_are_shed(rss: dict[str, float], client: tracespool.Client, sent: Any, caplog: pytest.LogCaptureFixture) -> None:
    switched, inside = [], []
    tracespool.set_admission(0.99)  # the application's own
    limit = Guard(soft_mb=200, hard_mb=400, on_soft=switched.append, interval=0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        number = len(inside)
        with client.start_as_current_observation(name=f"request-{number}", trace_context={"trace_id": "0" * 31 + "1"}) as request:
            inside.append((request.is_recording, tracespool.admission()))
            if number == 0:
                rss["mb"] = 250
                limit.check()
                client.start_observation(name="begun").end()

    asgi = ops.ASGIGuard(app, limit)
    with caplog.at_level(logging.INFO, "tracespool.ops"):
        for level in (100, 250, 195, 100):
            rss["mb"] = level
            asyncio.run(asgi({"type": "http"}, None, None))
    assert inside == [(True, 0.99), (False, 0), (False, 0), (True, 0.99)] and switched == [True, False] and limit.limited == 2
    assert {"request-0", "begun", "request-3"} == set(sent())
    assert tracespool.stats()["observations"]["dropped"]["shed"] >= 2
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
    with pytest.raises(ValueError, match="soft_share=2"):
        Guard(soft_mb=100, hard_mb=400, soft_share=2)


def test_what_the_application_decides_meanwhile_stands(rss: dict[str, float]) -> None:
    limit = Guard(soft_mb=200, hard_mb=400, soft_share=0.25, interval=0)
    seen = []
    for level in (250, 100, 250):
        rss["mb"] = level
        limit.check()
        seen.append(tracespool.admission())
    assert seen == [0.25, 1.0, 0.25]
    tracespool.set_admission(0.5)
    rss["mb"] = 100
    assert limit.check() == "ok" and tracespool.admission() == 0.5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_worker_begins_below_its_limits(rss: dict[str, float]) -> None:
    limit = Guard(soft_mb=200, hard_mb=400, interval=0)
    rss["mb"] = 250
    assert limit.check() == "soft" and tracespool.admission() == 0
    child = os.fork()
    if child == 0:
        began = tracespool.admission()
        above = limit.check(), tracespool.admission()
        rss["mb"] = 100
        below = limit.check(), tracespool.admission()
        os._exit(0 if (began, above, below) == (1.0, ("soft", 0.0), ("ok", 1.0)) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert limit.state == "soft" and tracespool.admission() == 0


def test_wsgi_requests_are_looked_at_before_and_after(rss: dict[str, float], client: tracespool.Client) -> None:
    rss["mb"] = 250
    seen = []
    limit = Guard(soft_mb=200, hard_mb=400, interval=0)

    def app(environ: Any, start: Any) -> Any:
        seen.append(client.start_observation(name="in-the-application").end().is_recording or tracespool.admission())
        yield b"a"
        rss["mb"] = 100
        seen.append(tracespool.admission())

    body = ops.WSGIGuard(app, limit)({}, None)
    assert list(body) == [b"a"] and limit.state == "soft"
    body.close()  # type: ignore[attr-defined]
    assert seen == [0, 0] and limit.state == "ok" and tracespool.admission() == 1
