"""Spans of other instrumentation through the span processor, as the collector stores them."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

import tracespool
from conftest import Collector
from tracespool.otel import TracespoolSpanProcessor

Make = Callable[..., tracespool.Client]


@pytest.fixture
def make(collector: Collector, key: str) -> Iterator[Make]:
    """Makes clients with keys of their own."""
    made: list[str] = []

    def client(**options: Any) -> tracespool.Client:
        public_key = options.pop("public_key", f"{key}-{len(made)}")
        made.append(public_key)
        return tracespool.Client(public_key=public_key, secret_key="sk", base_url=collector.url, **options)

    yield client
    for public_key in made:
        tracespool.cleanup_client(public_key, timeout=5.0)


def stored(collector: Collector, client: tracespool.Client) -> dict[str, dict[str, Any]]:
    report = client.flush(5.0)
    assert report["complete"], report
    return collector.observations(client.public_key)


def tracer(client: tracespool.Client, scope: str = "openinference.instrumentation.test", **options: Any) -> Any:
    provider = TracerProvider(**options)
    provider.add_span_processor(TracespoolSpanProcessor(client))
    return provider.get_tracer(scope, "1.2.3", attributes={"team": "a"})


def test_a_span_arrives_as_it_was_made(make: Make, collector: Collector) -> None:
    client = make(environment="staging", release="r7")
    spans = tracer(client, resource=Resource.create({"service.name": "shop", "deployment.id": 7}))
    linked = SpanContext(0xABC, 0xDEF, True, TraceFlags(1))
    with spans.start_as_current_span("chat", kind=SpanKind.CLIENT, links=[Link(linked, {"why": "retry"})]) as span:
        span.set_attribute("openinference.span.kind", "LLM")
        span.set_attribute("llm.model_name", "gpt")
        span.set_attribute("input.value", "hé")
        span.set_attribute("n", 3)
        span.set_attribute("ratio", 0.5)
        span.set_attribute("flag", True)
        span.set_attribute("texts", ["a", "b"])
        span.set_attribute("numbers", [1, 2])
        span.set_attribute("nothing", [])
        span.set_attribute("bytes", b"xyz")
        span.set_attribute("mixed", {"a": [1, None]})
        span.add_event("first", {"k": "v"}, timestamp=123456789)
        span.set_status(Status(StatusCode.ERROR, "bad"))
        own = span.get_span_context()
    row = stored(collector, client)["chat"]
    assert row["trace_id"] == f"{own.trace_id:032x}" and row["parent"] is None and row["is_app_root"]
    assert (row["type"], row["model"], row["input"]) == ("generation", "gpt", "hé")
    assert (row["environment"], row["release"], row["level"], row["status_message"]) == ("staging", "r7", "ERROR", "bad")
    attributes = row["attributes"]
    assert (attributes["n"], attributes["ratio"], attributes["flag"]) == (3, 0.5, True)
    assert (attributes["texts"], attributes["numbers"], attributes["bytes"]) == (["a", "b"], [1, 2], "xyz")
    assert (attributes["nothing"], json.loads(attributes["mixed"])) == ("[]", {"a": [1, None]})
    assert row["resource"]["service.name"] == "shop" and row["resource"]["deployment.id"] == 7
    assert row["scope"] == {"name": "openinference.instrumentation.test", "version": "1.2.3", "attributes": {"team": "a"}}
    otel = row["otel"]
    assert (otel["kind"], otel["status"], otel["flags"]) == (3, {"code": 2, "message": "bad"}, 0x100)
    assert otel["events"] == [{"name": "first", "time_ns": 123456789, "attributes": {"k": "v"}}]
    assert otel["links"] == [{"trace_id": f"{0xABC:032x}", "span_id": f"{0xDEF:016x}"}]
    assert "langfuse.environment" not in dict(span.attributes), "the span belongs to others too"


def test_only_the_chosen_client_gets_them(make: Make, collector: Collector) -> None:
    chosen, other = make(), make()
    spans = tracer(chosen)
    with other.start_as_current_observation(name="theirs"), spans.start_as_current_span("span"):
        pass
    with chosen.start_as_current_observation(name="mine"), spans.start_as_current_span("below"):
        pass
    mine, theirs = stored(collector, chosen), stored(collector, other)
    assert set(mine) == {"span", "mine", "below"} and set(theirs) == {"theirs"}
    # Below another tenant's observation: the trace's id, no parent.
    assert mine["span"]["trace_id"] == theirs["theirs"]["trace_id"]
    assert mine["span"]["parent"] is None and mine["span"]["is_app_root"]
    assert mine["below"]["parent"] == mine["mine"]["span_id"] and not mine["below"]["is_app_root"]


def test_a_client_without_a_processor_gets_nothing(make: Make, collector: Collector) -> None:
    client = make()
    with TracerProvider().get_tracer("openinference").start_as_current_span("span"):
        client.start_observation(name="mine").end()
    assert set(stored(collector, client)) == {"mine"}


@pytest.mark.parametrize(
    ("scope", "attributes", "expected"),
    [
        ("openinference.instrumentation.openai", {}, True),
        ("opentelemetry.instrumentation.openai_v2", {}, True),
        ("my.app", {"gen_ai.system": "x"}, True),
        ("opentelemetry.instrumentation.requests", {"http.method": "GET"}, False),
        ("aiohttp", {}, False),
        ("ai", {}, True),
        ("langfuse-sdk", {}, False),  # of another project
    ],
)
def test_the_default_filter(make: Make, collector: Collector, scope: str, attributes: dict[str, Any], expected: bool) -> None:
    client = make()
    with tracer(client, scope).start_as_current_span("span", attributes=attributes):
        pass
    assert ("span" in stored(collector, client)) is expected


def test_the_predicates_are_those_of_the_langfuse_sdk() -> None:
    from langfuse import span_filter as theirs
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from tracespool.langfuse import span_filter as ours

    assert ours.KNOWN_LLM_INSTRUMENTATION_SCOPE_PREFIXES == theirs.KNOWN_LLM_INSTRUMENTATION_SCOPE_PREFIXES
    names = [name + end for name in theirs.KNOWN_LLM_INSTRUMENTATION_SCOPE_PREFIXES for end in ("", ".x", "x", "-x", "_v2")]
    for name in [*names, "", "requests", "gen_ai"]:
        for attributes in (None, {}, {"gen_ai.system": "x"}, {"gen_ai": 1}, {"xgen_ai.y": 1}):
            span = ReadableSpan("n", attributes=attributes, instrumentation_scope=InstrumentationScope(name))
            for predicate in ("is_default_export_span", "is_langfuse_span", "is_genai_span", "is_known_llm_instrumentor"):
                assert getattr(ours, predicate)(span) == getattr(theirs, predicate)(span), (predicate, name, attributes)
    assert not ours.is_default_export_span(ReadableSpan("n"))


def test_app_root_and_attributes_of_the_scope(make: Make, collector: Collector) -> None:
    client = make()
    provider = TracerProvider()
    provider.add_span_processor(TracespoolSpanProcessor(client))
    web, llm = provider.get_tracer("opentelemetry.instrumentation.fastapi"), provider.get_tracer("openinference.x")
    with tracespool.propagate_attributes(user_id="u1", tags=["t"], metadata={"k": 1}, environment="qa"):
        with web.start_as_current_span("GET /") as request:
            with llm.start_as_current_span("agent", attributes={"user.id": "of the span"}):
                with llm.start_as_current_span("chat"):
                    pass
    with llm.start_as_current_span("plain"):
        pass
    rows = stored(collector, client)
    assert set(rows) == {"agent", "chat", "plain"}
    assert rows["agent"]["is_app_root"] and rows["agent"]["parent"] == f"{request.get_span_context().span_id:016x}"
    assert not rows["chat"]["is_app_root"] and rows["chat"]["parent"] == rows["agent"]["span_id"]
    for name in ("agent", "chat"):
        assert (rows[name]["user"], rows[name]["tags"], rows[name]["environment"]) == ("u1", ["t"], "qa")
        assert rows[name]["attributes"]["langfuse.trace.metadata.k"] == 1
    assert rows["plain"]["user"] is None


def test_should_export_span_is_each_clients_own(make: Make, collector: Collector) -> None:
    seen: list[str] = []

    def wanted(span: ReadableSpan) -> bool:
        seen.append(span.name)
        return not span.name.startswith("secret")

    strict, lax = make(should_export_span=wanted), make(should_export_span=lambda span: True)
    for client in (strict, lax):
        spans = tracer(client, "anything.at.all")
        for name in ("open", "secret span"):
            with spans.start_as_current_span(name):
                pass
        for name in ("mine", "secret mine"):
            client.start_observation(name=name, as_type="tool", input={"q": 1}).end()
    assert set(stored(collector, strict)) == {"open", "mine"}
    assert set(stored(collector, lax)) == {"open", "secret span", "mine", "secret mine"}
    assert {"open", "secret span", "mine", "secret mine"} <= set(seen)


def test_a_filter_sees_our_own_as_spans(make: Make, collector: Collector) -> None:
    from tracespool.span_filter import is_default_export_span, is_langfuse_span

    views: list[Any] = []

    def keep(span: ReadableSpan) -> bool:
        views.append(span)
        return is_default_export_span(span) and is_langfuse_span(span)

    client = make(should_export_span=keep)
    with client.start_as_current_observation(name="root", as_type="agent", input="q", metadata={"a": 1}) as root:
        client.start_observation(name="inner", level="ERROR", status_message="bad").end()
    inner, outer = views
    assert outer.attributes["langfuse.observation.input"] == "q"
    assert outer.attributes["langfuse.observation.metadata.a"] == 1
    assert (outer.context.trace_id, outer.context.span_id) == (int(root.trace_id, 16), int(root.id, 16))
    assert outer.parent is None and inner.parent.span_id == outer.context.span_id
    assert outer.instrumentation_scope.name == "langfuse-sdk"
    assert outer.instrumentation_scope.attributes["public_key"] == client.public_key
    assert inner.end_time >= inner.start_time > 0 and inner.status.description == "bad"
    assert set(stored(collector, client)) == {"root", "inner"}


def test_a_failing_filter_drops_the_span_and_is_counted(make: Make, collector: Collector) -> None:
    def broken(span: ReadableSpan) -> bool:
        raise RuntimeError("filter")

    client = make(should_export_span=broken)
    with tracer(client).start_as_current_span("span"):
        client.start_observation(name="mine").end()
    assert stored(collector, client) == {}
    assert lane(client) == {"submitted": 2, "delivered": 0, "dropped": {"encode_failed": 2}}


def lane(client: tracespool.Client) -> dict[str, Any]:
    parts = tracespool.stats()["destinations"]
    part = next(part for part in parts if part["public_key"] == client.public_key)["observations"]
    return {name: part[name] for name in ("submitted", "delivered", "dropped")}


def test_sampling_and_foreign_sampling(make: Make, collector: Collector) -> None:
    none, all_ = make(sample_rate=0.0), make(sample_rate=1.0)
    for client in (none, all_):
        with tracer(client).start_as_current_span("span"):
            client.start_observation(name="mine").end()
    assert stored(collector, none) == {} and set(stored(collector, all_)) == {"span", "mine"}
    unsampled = make()
    with tracer(unsampled, sampler=ALWAYS_OFF).start_as_current_span("span"):
        unsampled.start_observation(name="mine").end()
    assert set(stored(collector, unsampled)) == {"mine"}


def test_tracer_provider_is_attached_once_for_each_client(make: Make, collector: Collector, key: str) -> None:
    provider, elsewhere = TracerProvider(), TracerProvider()
    clients = [make(tracer_provider=provider, public_key=f"{key}-same") for _ in range(3)]
    other = make(tracer_provider=elsewhere)
    with provider.get_tracer("openinference").start_as_current_span("span"):
        pass
    with elsewhere.get_tracer("openinference").start_as_current_span("other"):
        pass
    assert set(stored(collector, clients[0])) == {"span"} and lane(clients[0])["submitted"] == 1
    assert set(stored(collector, other)) == {"other"}
    assert len(provider._active_span_processor._span_processors) == 1


def test_tracer_provider_of_the_face_of_langfuse(make: Make, collector: Collector, key: str) -> None:
    from tracespool.langfuse import Langfuse

    provider = TracerProvider()
    client = Langfuse(public_key=make().public_key, secret_key="sk", host=collector.url, tracer_provider=provider)
    with provider.get_tracer("openinference").start_as_current_span("span"):
        pass
    assert set(stored(collector, client)) == {"span"}
    assert [processor.client for processor in provider._active_span_processor._span_processors] == [client]


def test_id_generators_are_each_clients_own(make: Make, collector: Collector) -> None:
    class Counting:
        def __init__(self, first: int) -> None:
            self.next = first

        def generate_trace_id(self) -> int:
            self.next += 1
            return self.next

        generate_span_id = generate_trace_id

    class Broken:
        def generate_trace_id(self) -> int:
            raise RuntimeError

        def generate_span_id(self) -> int:
            return 0

    one, two, broken = make(id_generator=Counting(0x100)), make(id_generator=Counting(0x200)), make(id_generator=Broken())
    for client in (one, two, broken):
        with client.start_as_current_observation(name="root"):
            client.start_observation(name="child").end()
    rows = [stored(collector, client) for client in (one, two, broken)]
    assert [int(row["root"]["trace_id"], 16) for row in rows[:2]] == [0x102, 0x202]
    assert [int(row["child"]["span_id"], 16) for row in rows[:2]] == [0x103, 0x203]
    assert all(row["child"]["trace_id"] == row["root"]["trace_id"] for row in rows)


def test_options_of_two_clients_do_not_mix(make: Make, collector: Collector) -> None:
    def failing(*, data: Any) -> Any:
        raise ValueError("mask")

    one = make(environment="one", release="1", mask=failing, additional_headers={"x-langfuse-sdk-name": "sdk-of-one"})
    two = make(environment="two", release="2", mask=lambda *, data: "**")
    for client in (one, two):
        client.start_observation(name="mine", input="secret", output="secret").end()
        with tracer(client).start_as_current_span("span"):
            pass
    rows = [stored(collector, client) for client in (one, two)]
    for row, name in zip(rows, ("one", "two"), strict=True):
        assert {row[kind]["environment"] for kind in row} == {name}
        assert {row[kind]["release"] for kind in row} == {{"one": "1", "two": "2"}[name]}
    assert [row["mine"]["sdk"]["name"] == "sdk-of-one" for row in rows] == [True, False]
    assert rows[1]["mine"]["input"] == "**" and "secret" not in json.dumps(rows)
    parts = {part["public_key"]: part["observations"] for part in tracespool.stats()["destinations"]}
    assert (parts[one.public_key]["mask_failed"], parts[two.public_key]["mask_failed"]) == (2, 0)
    assert parts[one.public_key]["dropped"] == {} and parts[one.public_key]["delivered"] == 2


def test_force_flush_and_shutdown_are_bounded_and_touch_one_client(make: Make) -> None:
    dead = tracespool.Client(public_key="pk-dead-otel", secret_key="sk", base_url="http://127.0.0.1:9")
    processor, other = TracespoolSpanProcessor(dead), make()
    other.start_observation(name="pending").end()
    provider = TracerProvider()
    provider.add_span_processor(processor)
    with provider.get_tracer("openinference").start_as_current_span("span"):
        pass
    started = time.monotonic()
    assert processor.force_flush(200) is False
    assert time.monotonic() - started < 1.0
    assert lane(other)["delivered"] == 0, "another client is not flushed"
    started = time.monotonic()
    provider.shutdown()
    assert time.monotonic() - started < 4.0
    tracespool.cleanup_client("pk-dead-otel", timeout=0.0)


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    dead = tracespool.Client(public_key="pk-full-otel", secret_key="sk", base_url="http://127.0.0.1:9")
    spans, large = tracer(dead), "x" * 1_000_000
    for _ in range(60):
        spans.start_span("span", attributes={"input.value": large}).end()
    counted = lane(dead)
    dropped = counted["dropped"]
    # Of the process's budget where it is known already that the server fails.
    assert dropped.keys() <= {"queue_full", "process_budget"} and sum(dropped.values()) >= 25
    assert counted["submitted"] == 60
    tracespool.cleanup_client("pk-full-otel", timeout=0.0)


def test_spans_of_many_threads(make: Make, collector: Collector) -> None:
    client = make()
    spans = tracer(client)

    def work(number: int) -> None:
        for at in range(25):
            with spans.start_as_current_span(f"{number}-{at}"):
                client.start_observation(name=f"inner-{number}-{at}").end()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = stored(collector, client)
    assert len(rows) == 400
    for number in range(8):
        for at in range(25):
            assert rows[f"inner-{number}-{at}"]["parent"] == rows[f"{number}-{at}"]["span_id"]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_the_processor_of_keys(collector: Collector, key: str) -> None:
    from tracespool.langfuse._client.span_processor import LangfuseSpanProcessor

    processor = LangfuseSpanProcessor(public_key=key, secret_key="sk", base_url=collector.url, flush_interval=1.0)
    provider = TracerProvider()
    provider.add_span_processor(processor)
    with provider.get_tracer("litellm").start_as_current_span("span"):
        pass
    assert provider.force_flush(5000)
    assert set(collector.observations(key)) == {"span"}
    tracespool.cleanup_client(key)


def test_langfuse_s_client_is_attached_too(collector: Collector, key: str) -> None:
    from tracespool.langfuse import Langfuse

    provider = TracerProvider()
    client = Langfuse(public_key=key, secret_key="sk", base_url=collector.url, tracer_provider=provider)
    with provider.get_tracer("openinference").start_as_current_span("span"):
        pass
    assert set(stored(collector, client)) == {"span"}
    tracespool.cleanup_client(key, timeout=1.0)


def test_backends_that_are_told_apart_by_headers_do_not_take_each_other_over() -> None:
    from tracespool.otel import attach

    provider = TracerProvider()

    def tenant(number: int) -> tracespool.Client:
        return tracespool.Client(otlp_endpoint="http://127.0.0.1:9", headers={"x-key": f"tenant-{number}"})

    assert attach(provider, tenant(1)) is not attach(provider, tenant(2))
    assert attach(provider, tenant(1)) is attach(provider, tenant(1))
    tracespool.cleanup_all_clients(timeout=0.0)


def test_a_provider_s_shutdown_has_one_deadline_for_all_its_clients() -> None:
    with socket.socket() as hung:
        hung.bind(("127.0.0.1", 0))
        hung.listen()
        provider = TracerProvider(shutdown_on_exit=False)
        keys = [f"pk-hung-{number}" for number in range(3)]
        for key in keys:
            url = f"http://127.0.0.1:{hung.getsockname()[1]}"
            tracespool.Client(public_key=key, secret_key="sk", base_url=url, tracer_provider=provider)
        with provider.get_tracer("openinference").start_as_current_span("span"):
            pass
        started = time.monotonic()
        provider.shutdown()
        assert time.monotonic() - started < 4.5
        for key in keys:
            tracespool.cleanup_client(key, timeout=0.0)
