"""The same spans through the Langfuse SDK's own processor and through ours: what a server stores is the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from program import PUBLIC_KEY, Program, environment
from receiver import Receiver

SOURCE = """
    import os
    from langfuse import Langfuse
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

    import tracespool

    provider = TracerProvider(resource=Resource.create({"service.name": "shop", "langfuse.environment": "qa"}))
    theirs = Langfuse(public_key="pk-lf-theirs", tracer_provider=provider)
    ours = tracespool.Client(tracer_provider=provider, environment="qa")
    llm = provider.get_tracer("openinference.x", "1", schema_url="https://schema/1", attributes={"a": 1})
    web = provider.get_tracer("opentelemetry.instrumentation.fastapi")
    raw = provider.get_tracer("litellm")
    state = TraceState([("vendor", "v")])
    remote = SpanContext(0xABCDEF, 0x123, True, TraceFlags(1), state)
    from opentelemetry import trace
    context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
    with llm.start_as_current_span("remote", context=context, kind=SpanKind.SERVER):
        with raw.start_as_current_span("raw_gen_ai_request"):
            pass
    with web.start_as_current_span("GET /"):
        with web.start_as_current_span("late") as late:
            late.set_attribute("gen_ai.system", "openai")
        with raw.start_as_current_span("raw_gen_ai_request"):
            pass
        with llm.start_as_current_span("first", links=[Link(remote, {"l": 1})]) as first:
            first.set_attributes({"s": "é", "i": -5, "f": 0.5, "b": False, "l": ["a"], "n": [1, 2], "g": [True]})
            first.add_event("gen_ai.choice", {"text": "x", "n": 1}, timestamp=77)
            try:
                with llm.start_as_current_span("failing"):
                    raise ValueError("bad")
            except ValueError:
                pass
            with web.start_as_current_span("http"):
                with llm.start_as_current_span("second", kind=SpanKind.CLIENT) as second:
                    second.set_status(Status(StatusCode.OK))
    theirs.flush()
    print(ours.flush(5.0)["complete"])
"""


def rows(receiver: Receiver, key: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = json.loads(receiver.get(f"/api/v1/observations?project={key}&limit=100"))["data"]
    return {(row["name"], row["span_id"]): row for row in found}


def test_what_arrives_is_the_same(receiver: Receiver, program: Callable[[str], Program]) -> None:
    ended = program(SOURCE).run(environment(receiver.url), timeout=60)
    assert ended.code == 0 and ended.out.split() == ["True"], ended.err
    ours, theirs = rows(receiver, PUBLIC_KEY), rows(receiver, "pk-lf-theirs")
    assert set(ours) == set(theirs) and len(ours) == 7
    for key, row in ours.items():
        # Ours says the environment on the span, theirs on the resource; the server reads either.
        assert row["attributes"].pop("langfuse.environment") == "qa"
        for field in ("attributes", "otel", "resource", "scope", "parent", "trace_id", "start_ns", "end_ns", "is_app_root"):
            assert row[field] == theirs[key][field], (key, field)
        for field in ("type", "level", "status_message", "input", "output", "model", "environment", "release", "version"):
            assert row[field] == theirs[key][field], (key, field)
