"""A sender's trace goes on in what a request traces, without an observation for the request."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

import tracespool
from conftest import Collector
from tracespool import headers

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"

_SERVICE = f"""
import asyncio, json, logging, sys
import tracespool
from tracespool import headers
from tracespool.integrations import request
from tracespool.integrations.asgi import TracespoolMiddleware
from tracespool.integrations.logging import TraceFilter

client = tracespool.Client()
seen = []

@tracespool.observe()
def decorated():
    pass

async def app(scope, receive, send):
    with client.start_as_current_observation(name="work"):
        client.start_observation(name="below").end()
    decorated()
    with tracespool.propagate_attributes(user_id="u-1"), client.use():
        client.create_event(name="event")
    await asyncio.gather(asyncio.create_task(later()))
    asked = {{"trace_id": "a" * 32}}
    client.start_observation(name="elsewhere", trace_context=asked).end()
    record = logging.makeLogRecord({{}})
    TraceFilter().filter(record)
    seen.append([tracespool.get_current_trace_id(), headers.inject({{}}).get("traceparent"), record.trace_id])

async def later():
    client.start_observation(name="task").end()

async def call(app, **sent):
    pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
    await app({{"type": "http", "method": "GET", "path": "/", "headers": pairs}}, None, None)

joins = TracespoolMiddleware(app, continue_trace=True)
"""


def serve(collector: Collector, key: str, code: str) -> str:
    env = {"LANGFUSE_PUBLIC_KEY": key, "LANGFUSE_SECRET_KEY": "sk", "LANGFUSE_BASE_URL": collector.url}
    source = _SERVICE + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", source], env={**os.environ, **env}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout


@pytest.mark.parametrize("imported", ["", "import opentelemetry.trace"])
def test_observations_join_the_callers_trace(collector: Collector, key: str, imported: str) -> None:
    out = serve(
        collector, key,
        f"""
        {imported}
        with client.start_as_current_observation(name="outer"):  # of whoever calls the application in this process
            asyncio.run(call(joins, traceparent={TRACEPARENT!r}))
            outer = tracespool.get_current_trace_id()
        print(json.dumps([*seen[0], outer]), tracespool.get_current_trace_id())
        """,
    )  # fmt: skip
    rows = collector.observations(key)
    assert set(rows) == {"outer", "work", "below", "decorated", "event", "task", "elsewhere"}
    for name in ("work", "decorated", "event", "task"):
        assert (rows[name]["trace_id"], rows[name]["parent"]) == (TRACE_ID, SPAN_ID), name
    assert (rows["below"]["trace_id"], rows["below"]["parent"]) == (TRACE_ID, rows["work"]["span_id"])
    assert rows["event"]["user"] == "u-1" and rows["elsewhere"]["trace_id"] == "a" * 32
    assert out == f'["{TRACE_ID}", "{TRACEPARENT}", "{TRACE_ID}", "{rows["outer"]["trace_id"]}"] None\n'


@pytest.mark.parametrize("sent", ["", "traceparent='garbage'", f"traceparent='00-{'0' * 32}-{SPAN_ID}-01'"])
def test_requests_without_a_trace_begin_their_own(collector: Collector, key: str, sent: str) -> None:
    out = serve(collector, key, f"asyncio.run(call(joins, {sent})); print(seen[0])")
    rows = collector.observations(key)
    assert rows["work"]["parent"] is None and rows["work"]["trace_id"] != rows["task"]["trace_id"]
    assert out == "[None, None, '']\n"


def test_spans_of_other_instrumentation_join_it_too(collector: Collector, key: str) -> None:
    serve(
        collector, key,
        f"""
        from opentelemetry import propagate, trace
        from opentelemetry.sdk.trace import TracerProvider
        from tracespool.otel import TracespoolSpanProcessor
        provider = TracerProvider()
        provider.add_span_processor(TracespoolSpanProcessor(client))
        known, server = provider.get_tracer("openinference.instrumentation.test"), provider.get_tracer("asgi")
        async def inner(scope, receive, send):
            with known.start_as_current_span("chat"):
                client.start_observation(name="in-chat").end()
            client.start_observation(name="ours").end()
        joins = TracespoolMiddleware(inner, continue_trace=True)
        asyncio.run(call(joins, traceparent={TRACEPARENT!r}))
        inside = TracespoolMiddleware(app, continue_trace=True)
        with server.start_as_current_span("GET", context=propagate.extract({{"traceparent": {TRACEPARENT!r}}})):
            asyncio.run(call(inside, traceparent={TRACEPARENT!r}))
        """,
    )  # fmt: skip
    rows = collector.observations(key)
    assert "GET" not in rows
    for name in ("chat", "ours", "work"):
        assert (rows[name]["trace_id"], rows[name]["parent"]) == (TRACE_ID, SPAN_ID), name
    assert rows["in-chat"]["parent"] == rows["chat"]["span_id"] and rows["below"]["parent"] == rows["work"]["span_id"]


def test_a_request_is_recorded_or_shed_as_a_whole(client: tracespool.Client, collector: Collector, key: str) -> None:
    try:
        with headers.continue_trace({"Traceparent": TRACEPARENT}):
            client.start_observation(name="first").end()
            tracespool.set_admission(0.0)
            client.start_observation(name="second").end()
        with headers.continue_trace({"traceparent": TRACEPARENT}):
            client.start_observation(name="third").end()
            tracespool.set_admission(1.0)
            client.start_observation(name="fourth").end()
    finally:
        tracespool.set_admission(1.0)
    assert client.flush(5.0)["complete"]
    assert set(collector.observations(key)) == {"first", "second"}


def test_the_block_decorates_and_nests(client: tracespool.Client, collector: Collector, key: str) -> None:
    inner = f"00-{'b' * 32}-{SPAN_ID}-00"

    @headers.continue_trace({"traceparent": TRACEPARENT})
    def job(name: str) -> str | None:
        with headers.continue_trace({"traceparent": inner}):
            assert headers.inject({})["traceparent"] == inner
            client.start_observation(name=f"inner-{name}").end()
        client.start_observation(name=name).end()
        return tracespool.get_current_trace_id()

    assert (job("one"), job("two")) == (TRACE_ID, TRACE_ID) and tracespool.get_current_trace_id() is None
    assert client.flush(5.0)["complete"]
    rows = collector.observations(key)
    assert {rows[name]["trace_id"] for name in ("one", "two")} == {TRACE_ID}
    assert {rows[f"inner-{name}"]["trace_id"] for name in ("one", "two")} == {"b" * 32}
