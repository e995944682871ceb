"""Nothing that is passed raises, nothing deadlocks, nothing leaks a secret."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import tracespool
from conftest import Collector

Sent = Callable[[], dict[str, dict[str, Any]]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, logger="tracespool")

    def read() -> list[str]:
        tracespool.stats()
        return [record.getMessage() for record in caplog.records]

    return read


class Odd:
    """A value of no use to anybody."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise RuntimeError("no")


def test_wrong_arguments_are_told_once_and_left_out(client: tracespool.Client, sent: Sent, lines: Callable[[], list[str]]) -> None:
    odd: Any = Odd()
    span = client.start_observation("positional", wrong=1)  # type: ignore[misc,call-arg]
    span.update(1, nonsense=2)  # type: ignore[misc,call-arg]
    span.update(level="LOUD", prompt=odd, metadata=odd, model=odd, usage_details=odd, version=odd, name=odd)
    span.update(level=odd, completion_start_time=odd, status_message=odd, input=odd)
    span.end(end_time=odd)
    for wrong in ("xyz", "0" * 32, 1, {}, {"trace_id": 5}, {"trace_id": "a" * 32, "parent_span_id": "?"}, odd):
        client.start_observation(name="context", trace_context=wrong).end()  # type: ignore[arg-type]
    client.start_observation(name=odd, as_type=odd).end()
    client.start_observation().end()  # type: ignore[call-arg]
    client.start_as_current_observation(name="decorator")(odd)
    with tracespool.propagate_attributes(user_id=odd, tags="text", metadata=odd, environment="PROD", session_id="x" * 300, nope=1):  # type: ignore[arg-type]
        client.start_observation(name="inside").end()
    for value in (odd, None, float("nan"), [1]):
        client.create_score(name="s", value=value, trace_id="t")  # type: ignore[arg-type]
    client.create_score(name="s", value=1, trace_id="t", timestamp=odd, what=1)  # type: ignore[call-arg]
    client.create_score()  # type: ignore[call-arg]
    client.update_current_span(output=1)
    client.score_current_trace(name="x", value=1)
    tracespool.get_client(public_key=odd)
    assert sent()["inside"]["session"] is None
    told = " ".join(lines())
    for word in ("wrong", "nonsense", "LOUD", "trace_id", "as_type", "nope", "environment", "outside of any observation"):
        assert word in told, word


@pytest.mark.parametrize(
    "options",
    [
        {"no_such_option": 1},
        {"timeout": "soon"},
        {"flush_at": object()},
        {"sample_rate": 7},
        {"environment": "PROD!"},
        {"mask": 5},
        {"additional_headers": {"a": 1, "x\r\n": "y"}},
        {"span_exporter": object()},
        {"base_url": "nonsense"},
        {"base_url": b"bytes"},
        {"otel_compression": "zip"},
        {"secret_key": None},
    ],
    ids=lambda options: next(iter(options)),
)
def test_constructor_never_raises(options: dict[str, Any], key: str, lines: Callable[[], list[str]]) -> None:
    client = tracespool.Client(**{"public_key": key, "secret_key": "sk-very-secret", "base_url": "http://127.0.0.1:9", **options})
    with client.start_as_current_observation(name="x"):
        pass
    assert any(next(iter(options)) in line for line in lines())
    assert not any("sk-very-secret" in line for line in lines())
    tracespool.cleanup_client(key, timeout=0.0)


def run(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LANGFUSE_", "OTEL_"))}
    return subprocess.run([sys.executable, "-c", code], env={**clean, **env}, capture_output=True, text=True, timeout=60)


_TRACE = """
import threading, os, tracespool
client = tracespool.get_client()
with client.start_as_current_observation(name="x", input={"a": 1}):
    tracespool.observe(lambda: 1)()
threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else threading.active_count()
print(client.enabled, threads, client.flush(1.0)["complete"])
"""


def test_disabled_tracing_starts_no_thread() -> None:
    done = run(_TRACE, LANGFUSE_TRACING_ENABLED="false", LANGFUSE_PUBLIC_KEY="pk", LANGFUSE_SECRET_KEY="sk")
    assert done.stdout.split() == ["False", "1", "True"] and done.returncode == 0, done
    assert done.stderr == ""


def test_missing_keys_are_one_warning() -> None:
    done = run(_TRACE)
    assert done.stdout.split() == ["False", "1", "True"], done
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_unreadable_environment_numbers_are_warnings() -> None:
    done = run(
        _TRACE, LANGFUSE_PUBLIC_KEY="pk", LANGFUSE_SECRET_KEY="sk-very-secret", LANGFUSE_HOST="http://127.0.0.1:9",
        LANGFUSE_TIMEOUT="2.5s", LANGFUSE_FLUSH_AT="many", LANGFUSE_SAMPLE_RATE="", LANGFUSE_FLUSH_INTERVAL="0",
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.split()[0] == "True"
    for name in ("LANGFUSE_TIMEOUT", "LANGFUSE_FLUSH_AT", "LANGFUSE_FLUSH_INTERVAL"):
        assert name in done.stderr
    assert "sk-very-secret" not in done.stderr + done.stdout


def test_secrets_stay_inside(dead_client: tracespool.Client, lines: Callable[[], list[str]]) -> None:
    dead_client.start_observation(name="x").end()
    report = dead_client.flush(0.5)
    shown = f"{dead_client!r} {report} {tracespool.stats()} {lines()} {dead_client.start_observation(name='x')!r}"
    assert "sk-very-secret" not in shown and "c2st" not in shown


def test_code_that_traces_while_it_is_traced(client: tracespool.Client, sent: Sent) -> None:
    class Traces:
        @property
        def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
            with client.start_as_current_observation(name="inner", input={"k": [1, 2]}):
                client.update_current_span(output={"o": 1})
            client.flush(1.0)
            tracespool.stats()
            return {"v": 1}

    class Raises(Exception):
        def __str__(self) -> str:
            client.start_observation(name="from str", input=[1]).end()
            client.flush(1.0)
            return "text"

    span = client.start_observation(name="outer", input=[Traces(), "after"])
    span.update(output=Raises(), metadata={"a": Traces(), "b": 1}).end()
    stored = sent()
    assert stored["outer"]["input"] == '[{"v":1},"after"]'
    assert stored["outer"]["output"] == '"Raises: text"'
    assert stored["outer"]["metadata"]["b"] == 1
    assert {"inner", "from str"} <= set(stored)


def test_a_finaliser_may_end_an_observation_while_another_is_encoded(client: tracespool.Client, sent: Sent) -> None:
    class Holder:
        def __init__(self, span: tracespool.Observation) -> None:
            self.span = span

        def __del__(self) -> None:
            self.span.update(output={"from": "finaliser"}).end()

    holders = [Holder(client.start_observation(name=f"held{i}")) for i in range(50)]

    class Drops:
        @property
        def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
            holders.clear()
            return {"dropped": True}

    client.start_observation(name="outer", input=[1, Drops(), 2]).end()
    stored = sent()
    assert stored["outer"]["input"] == '[1,{"dropped":true},2]'
    assert sum(name.startswith("held") for name in stored) == 50


def test_a_failing_logger_or_callback_stays_outside(client: tracespool.Client) -> None:
    class Bad(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("no")

    logger = logging.getLogger("tracespool")
    handler = Bad()
    logger.addHandler(handler)
    try:
        client.start_observation(name="x", unknown_argument=1).end()  # type: ignore[call-arg]
        client.flush(1.0)
    finally:
        logger.removeHandler(handler)


def test_drops_are_told_to_callbacks(key: str) -> None:
    told: list[dict[str, Any]] = []
    tracespool.on_drop(told.append)
    client = tracespool.Client(public_key=key, secret_key="sk", base_url="http://127.0.0.1:9")
    client.start_observation(name="never ended")
    client.start_observation(name="undeliverable").end()
    tracespool.cleanup_client(key, timeout=0.2)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and {"never_ended", "evicted"} - {drop["reason"] for drop in told if drop["public_key"] == key}:
        tracespool.stats()
        time.sleep(0.02)
    assert {"never_ended", "evicted"} <= {drop["reason"] for drop in told if drop["public_key"] == key}, told


def test_deadlines_hold_against_a_server_that_hangs(key: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        client = tracespool.Client(public_key=key, secret_key="sk", base_url=f"http://127.0.0.1:{server.getsockname()[1]}")
        for _ in range(100):
            client.start_observation(name="x", input="y" * 100).end()
        for wait in (lambda: client.flush(0.3), lambda: asyncio.run(client.aflush(0.3))):
            began = time.monotonic()
            report = wait()
            assert time.monotonic() - began < 0.5
            assert not report["complete"] and report["pending"] + report["unconfirmed"] == 100
        now = client.flush(0)
        assert now["pending"] + now["unconfirmed"] == 100
        began = time.monotonic()
        client.shutdown(0.2)
        assert time.monotonic() - began < 0.5
    tracespool.cleanup_client(key, timeout=0.0)


def test_aflush_leaves_the_loop_alone_and_starts_no_thread(key: str) -> None:
    import socket

    async def main(client: tracespool.Client) -> int:
        ticks = 0
        flushing = asyncio.create_task(client.aflush(0.4))
        while not flushing.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    with socket.create_server(("127.0.0.1", 0)) as server:
        client = tracespool.Client(public_key=key, secret_key="sk", base_url=f"http://127.0.0.1:{server.getsockname()[1]}")
        client.start_observation(name="x").end()
        before = threading.active_count()
        assert asyncio.run(main(client)) > 20
        assert threading.active_count() == before
        tracespool.cleanup_client(key, timeout=0.0)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")
def test_a_signal_interrupts_flush_and_leaves_the_data(key: str) -> None:
    import socket

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            client = tracespool.Client(public_key=key, secret_key="sk", base_url=f"http://127.0.0.1:{server.getsockname()[1]}")
            client.start_observation(name="x").end()
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                client.flush(5.0)
            assert time.monotonic() - began < 0.5
            assert client.flush(0.0)["pending"] + client.flush(0.0)["unconfirmed"] >= 1
    finally:
        signal.signal(signal.SIGALRM, before)
        tracespool.cleanup_client(key, timeout=0.0)


def test_gevent_keeps_other_greenlets_running() -> None:
    pytest.importorskip("gevent")
    done = run(
        """
from gevent import monkey; monkey.patch_all()
import gevent, socket, tracespool
server = socket.create_server(("127.0.0.1", 0))
client = tracespool.Client(public_key="pk", secret_key="sk", base_url=f"http://127.0.0.1:{server.getsockname()[1]}")
client.start_observation(name="x").end()
ticks = [0]
def tick():
    while True:
        gevent.sleep(0.01); ticks[0] += 1
gevent.spawn(tick)
client.flush(0.5)
print(ticks[0])
client.shutdown(0)
""",
        TRACESPOOL_ATEXIT="0",
    )
    assert int(done.stdout) > 20, done


def test_cleanup_matches_by_what_is_given(collector: Collector, key: str) -> None:
    old = tracespool.Client(public_key=key, secret_key="sk-old", base_url=collector.url)
    new = tracespool.Client(public_key=key, secret_key="sk-new", base_url=collector.url)
    old.start_observation(name="old").end()
    new.start_observation(name="new").end()
    report = tracespool.cleanup_client(key, secret_key="sk-old", timeout=5.0)
    assert (report["delivered"], report["complete"]) == (1, True)
    assert tracespool.get_client(public_key=key) is new
    assert tracespool.cleanup_client(key, base_url="http://elsewhere", timeout=5.0)["delivered"] == 0
    assert tracespool.cleanup_client(key, base_url=collector.url + "/", timeout=5.0)["delivered"] == 1
    assert not tracespool.get_client(public_key=key).enabled
    assert sorted(collector.observations(key)) == ["new", "old"]
