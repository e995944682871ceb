"""Observations and other tracers' spans as each other's parents."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import tracespool
from tracespool.headers import attributes, inject, trace_context
from tracespool.otel import TracespoolSpanProcessor

Sent = Callable[[], dict[str, dict[str, Any]]]

REMOTE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def apm() -> tuple[Any, InMemorySpanExporter]:
    """Another tracer, which sends nothing to us."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("opentelemetry.instrumentation.requests"), exporter


@pytest.fixture
def llm(client: tracespool.Client) -> Any:
    """Instrumentation whose spans go to the client."""
    provider = TracerProvider()
    provider.add_span_processor(TracespoolSpanProcessor(client))
    return provider.get_tracer("openinference.instrumentation.test")


@pytest.fixture(autouse=True)
def _clean(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING):
        yield
    assert not [record for record in caplog.records if "Context" in record.getMessage()], caplog.text
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert tracespool.get_current_trace_id() is None


def test_a_tree_of_both(client: tracespool.Client, llm: Any, sent: Sent) -> None:
    with client.start_as_current_observation(name="a") as a:
        with llm.start_as_current_span("b") as b:
            assert client.get_current_observation_id() == f"{b.get_span_context().span_id:016x}"
            assert client.get_current_trace_id() == a.trace_id
            with client.start_as_current_observation(name="c"):
                with llm.start_as_current_span("d"):
                    client.start_observation(name="e").end()
                current = trace.get_current_span().get_span_context()
                assert f"{current.span_id:016x}" == client.get_current_observation_id()
                client.create_event(name="f")
    rows = sent()
    parents = {name: row["parent"] for name, row in rows.items()}
    ids = {name: row["span_id"] for name, row in rows.items()}
    wanted = {"a": None, "b": ids["a"], "c": ids["b"], "d": ids["c"], "e": ids["d"], "f": ids["c"]}
    assert parents == wanted and len({row["trace_id"] for row in rows.values()}) == 1
    assert [name for name, row in rows.items() if row["is_app_root"]] == ["a"]


def test_the_current_span_is_ours(client: tracespool.Client, apm: tuple[Any, InMemorySpanExporter]) -> None:
    tracer, exporter = apm
    with client.start_as_current_observation(name="a") as a:
        span = trace.get_current_span()
        assert not span.is_recording() and isinstance(span, trace.NonRecordingSpan)
        own = span.get_span_context()
        assert (own.is_valid, own.is_remote, own.trace_flags.sampled) == (True, False, True)
        assert (f"{own.trace_id:032x}", f"{own.span_id:016x}") == (a.trace_id, a.id)
        with tracer.start_as_current_span("http"):
            pass
    (http,) = exporter.get_finished_spans()
    assert http.parent is not None and f"{http.parent.span_id:016x}" == a.id


def test_a_parent_that_we_do_not_send(client: tracespool.Client, apm: tuple[Any, InMemorySpanExporter], sent: Sent) -> None:
    tracer, _ = apm
    with tracer.start_as_current_span("GET /") as request:
        with client.start_as_current_observation(name="root", input="question") as root:
            root.update(output="answer")
            with tracer.start_as_current_span("SELECT"):
                client.start_observation(name="child").end()
    rows = sent()
    assert set(rows) == {"root", "child"}
    assert rows["root"]["trace_id"] == f"{request.get_span_context().trace_id:032x}"
    # No parent: servers show input and output of a trace from its rows without one.
    assert rows["root"]["parent"] is None and rows["root"]["is_app_root"]
    assert (rows["root"]["input"], rows["root"]["output"]) == ("question", "answer")
    assert rows["child"]["parent"] == rows["root"]["span_id"] and not rows["child"]["is_app_root"]


def test_a_remote_parent(client: tracespool.Client, sent: Sent) -> None:
    token = context.attach(propagate.extract({"traceparent": REMOTE}))
    try:
        with client.start_as_current_observation(name="root"):
            client.start_observation(name="child").end()
    finally:
        context.detach(token)
    rows = sent()
    assert (rows["root"]["trace_id"], rows["root"]["parent"]) == (REMOTE[3:35], REMOTE[36:52])
    assert rows["root"]["is_app_root"] and rows["root"]["attributes"]["langfuse.internal.as_root"] is True
    assert rows["child"]["parent"] == rows["root"]["span_id"] and not rows["child"]["is_app_root"]


def test_an_unsampled_parent_drops_ours_only_where_asked(
    client: tracespool.Client, collector: Any, key: str, sent: Sent
) -> None:
    tracer = TracerProvider(sampler=ALWAYS_OFF).get_tracer("apm")
    follower = tracespool.Client(
        public_key=f"{key}-follow", secret_key="sk", base_url=collector.url, follow_parent_sampling=True
    )
    with tracer.start_as_current_span("unsampled") as span:
        for one in (client, follower):
            with one.start_as_current_observation(name="mine"):
                # Their decision goes on below ours.
                assert not trace.get_current_span().get_span_context().trace_flags.sampled
                one.start_observation(name="inner").end()
    rows = sent()
    assert set(rows) == {"mine", "inner"} and rows["mine"]["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    follower.flush(5.0)
    assert collector.observations(follower.public_key) == {}


@pytest.mark.parametrize("given", ["text", "headers"])
def test_an_unsampled_traceparent_drops_ours_only_where_asked(
    client: tracespool.Client, collector: Any, key: str, sent: Sent, given: str
) -> None:
    follower = tracespool.Client(
        public_key=f"{key}-{given}", secret_key="sk", base_url=collector.url, follow_parent_sampling=True
    )
    for flags in ("00", "01"):
        header = f"{REMOTE[:-2]}{flags}"
        named: Any = header if given == "text" else {"traceparent": header}
        for one in (client, follower):
            with one.start_as_current_observation(name=f"scope {flags}", trace_context=named) as scope:
                one.start_observation(name=f"inner {flags}").end()
                one.score_current_span(name=f"score {flags}", value=1)
                assert scope.traceparent().endswith(flags if one is follower else "01")
            one.start_observation(name=f"plain {flags}", trace_context=named).end()
            one.create_event(name=f"event {flags}", trace_context=named)
    # Ids alone say nothing of sampling.
    follower.start_observation(name="ids", trace_context={"trace_id": REMOTE[3:35], "parent_span_id": REMOTE[36:52]}).end()
    everything = {f"{name} {flags}" for name in ("scope", "inner", "plain", "event") for flags in ("00", "01")}
    assert set(sent()) == everything and len(collector.scores(key)) == 2
    assert follower.flush(5.0)["complete"]
    assert set(collector.observations(follower.public_key)) == {name for name in everything if name.endswith("01")} | {"ids"}
    assert [score["name"] for score in collector.scores(follower.public_key)] == ["score 01"]


def test_observe_and_generators(client: tracespool.Client, llm: Any, sent: Sent) -> None:
    @tracespool.observe()
    def stream() -> Generator[str, None, None]:
        with llm.start_as_current_span("inside"):
            yield "a"
        assert tracespool.get_current_observation_id() is not None
        yield "b"

    @tracespool.observe()
    def plain() -> None:
        with llm.start_as_current_span("below"):
            pass

    with llm.start_as_current_span("outer") as outer:
        generator = stream()
        assert next(generator) == "a"
        assert trace.get_current_span() is outer, "between the items the caller's own span is current"
        plain()
        assert list(generator) == ["b"]
        assert trace.get_current_span() is outer
    rows = sent()
    assert rows["stream"]["parent"] == rows["plain"]["parent"] == rows["outer"]["span_id"]
    assert rows["inside"]["parent"] == rows["stream"]["span_id"] and rows["below"]["parent"] == rows["plain"]["span_id"]
    assert rows["stream"]["output"] == "ab"


def test_a_generator_that_goes_on_elsewhere(client: tracespool.Client, llm: Any, sent: Sent) -> None:
    @tracespool.observe()
    def stream() -> Generator[int, None, None]:
        for number in range(3):
            with llm.start_as_current_span(f"step-{number}"):
                pass
            yield number

    generator = stream()
    assert next(generator) == 0
    assert contextvars.copy_context().run(next, generator) == 1
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(next(generator)))
    thread.start()
    thread.join()
    assert seen == [2] and trace.get_current_span() is trace.INVALID_SPAN
    contextvars.copy_context().run(generator.close)
    rows = sent()
    assert {rows[f"step-{number}"]["parent"] for number in range(3)} == {rows["stream"]["span_id"]}


def test_tasks_and_async_generators(client: tracespool.Client, llm: Any, sent: Sent) -> None:
    @tracespool.observe()
    async def stream(name: str) -> AsyncGenerator[str, None]:
        for number in range(2):
            with llm.start_as_current_span(f"{name}-{number}"):
                await asyncio.sleep(0)
            yield name

    @tracespool.observe(name="task")
    async def task(name: str) -> None:
        with llm.start_as_current_span(f"span-{name}"):
            async with client.start_as_current_observation(name=f"inner-{name}"):
                await asyncio.sleep(0.001)
            async for _ in stream(name):
                current = trace.get_current_span()
                assert current.name == f"span-{name}"  # type: ignore[attr-defined]

    async def main() -> None:
        with client.start_as_current_observation(name="root"):
            await asyncio.gather(*(task(name) for name in "abc"))

    asyncio.run(main())
    rows = sent()
    for name in "abc":
        assert rows[f"inner-{name}"]["parent"] == rows[f"span-{name}"]["span_id"]
        assert rows[f"{name}-0"]["parent"] == rows[f"{name}-1"]["parent"]
        assert rows[f"{name}-0"]["trace_id"] == rows["root"]["trace_id"]


def test_threads_get_it_by_in_context_and_by_opentelemetry(client: tracespool.Client, llm: Any, sent: Sent) -> None:
    def work(name: str) -> None:
        with llm.start_as_current_span(f"span-{name}"):
            client.start_observation(name=f"mine-{name}").end()

    def attached(carried: context.Context) -> None:
        token = context.attach(carried)
        client.start_observation(name="direct").end()
        work("otel")
        context.detach(token)

    with tracespool.propagate_attributes(user_id="u"), client.start_as_current_observation(name="root"):
        threads = [
            threading.Thread(target=tracespool.in_context(work), args=("ours",)),
            threading.Thread(target=attached, args=(context.get_current(),)),
            threading.Thread(target=work, args=("bare",)),
        ]
        for thread in threads:
            thread.start()
            thread.join()
    rows = sent()
    root = rows["root"]["span_id"]
    assert rows["span-ours"]["parent"] == rows["span-otel"]["parent"] == rows["direct"]["parent"] == root
    assert rows["mine-otel"]["parent"] == rows["span-otel"]["span_id"] and rows["direct"]["user"] == "u"
    assert rows["span-bare"]["parent"] is None and rows["span-bare"]["trace_id"] != rows["root"]["trace_id"]


def test_a_span_with_an_explicit_context(client: tracespool.Client, llm: Any, sent: Sent) -> None:
    with client.start_as_current_observation(name="one"):
        kept = context.get_current()
    with client.start_as_current_observation(name="two"):
        llm.start_span("of one", context=kept).end()
        llm.start_span("root", context=context.Context()).end()
    rows = sent()
    assert rows["of one"]["parent"] == rows["one"]["span_id"] and not rows["of one"]["is_app_root"]
    assert rows["root"]["parent"] is None


def test_leaving_in_another_context(client: tracespool.Client) -> None:
    scope = client.start_as_current_observation(name="elsewhere")
    contextvars.copy_context().run(scope.__enter__)
    scope.__exit__(None, None, None)


def test_headers_in_and_out(client: tracespool.Client, sent: Sent) -> None:
    with client.start_as_current_observation(name="sender") as sender:
        quiet = client.inject({})
        with tracespool.propagate_attributes(user_id="ü 1", tags=["a", "b,c"], metadata={"n": 1, "s": "12"}, as_baggage=True):
            headers = inject({"accept": "*/*"})
            with client.start_as_current_observation(name="deeper"):
                assert baggage.get_baggage("langfuse_user_id") == "ü 1"
                carrier: dict[str, str] = {}
                propagate.inject(carrier)
        assert baggage.get_all() == {}
    assert quiet == {"traceparent": sender.traceparent()}, "baggage only where asked"
    assert "langfuse_user_id=%C3%BC%201" in headers["baggage"] and "langfuse_user_id" in carrier["baggage"]
    assert trace_context(headers) == {"trace_id": sender.trace_id, "parent_span_id": sender.id}
    said = attributes({"Baggage": headers["baggage"]})
    assert said == {"user_id": "ü 1", "tags": ["a", "b,c"], "metadata": {"n": 1, "s": "12"}}
    assert inject({}) == {}
    for number, given in enumerate((headers, headers["traceparent"], trace_context(headers))):
        with tracespool.propagate_attributes(**said):
            client.start_observation(name=f"receiver-{number}", trace_context=given).end()
    client.start_observation(name="bad", trace_context={"traceparent": "nonsense"}).end()
    # What OpenTelemetry has extracted needs no help.
    token = context.attach(propagate.extract(carrier))
    client.start_observation(name="extracted").end()
    context.detach(token)
    rows = sent()
    for number in range(3):
        row = rows[f"receiver-{number}"]
        assert (row["trace_id"], row["parent"], row["user"], row["tags"]) == (sender.trace_id, sender.id, "ü 1", ["a", "b,c"])
    assert rows["bad"]["trace_id"] != sender.trace_id
    extracted = rows["extracted"]
    assert (extracted["user"], extracted["tags"], extracted["parent"]) == ("ü 1", ["a", "b,c"], rows["deeper"]["span_id"])
    assert extracted["attributes"]["langfuse.trace.metadata.s"] == "12" and extracted["attributes"]["langfuse.trace.metadata.n"] == 1
    assert not extracted["is_app_root"], "the sender's part of the trace has the root"


def test_below_a_named_parent_as_below_the_current_one(client: tracespool.Client, sent: Sent) -> None:
    """Baggage and what other software carried here count the same, whichever call starts the observation."""
    with tracespool.propagate_attributes(user_id="parent's", metadata={"k": "parent's"}):
        parent = client.start_observation(name="parent")
    bare = client.start_observation(name="bare")
    held = baggage.set_baggage("langfuse_session_id", "s")
    held = baggage.set_baggage("langfuse_user_id", "baggage's", baggage.set_baggage("langfuse_metadata_k", "baggage's", held))
    token = context.attach(held)
    starts: dict[str, Callable[[Any, str], Any]] = {
        "start": lambda of, name: of.start_observation(name=name).end(),
        "scope": lambda of, name: of.start_as_current_observation(name=name).__enter__().end(),
        "event": lambda of, name: of.create_event(name=name),
    }
    for kind, start in starts.items():
        for of in ("parent", "bare"):
            contextvars.copy_context().run(start, {"parent": parent, "bare": bare}[of], f"{kind} {of}")
            with tracespool.propagate_attributes(user_id="scope's"):
                contextvars.copy_context().run(start, {"parent": parent, "bare": bare}[of], f"{kind} {of} in a scope")
    context.detach(token)
    parent.end()
    bare.end()
    rows = sent()

    def said(name: str) -> tuple[Any, ...]:
        row = rows[name]
        return row["user"], row["session"], row["attributes"].get("langfuse.trace.metadata.k"), row["parent"]

    for kind in starts:
        assert said(f"{kind} parent") == ("parent's", "s", "parent's", parent.id), kind
        assert said(f"{kind} bare") == ("baggage's", "s", "baggage's", bare.id), kind
        for of in (parent, bare):
            name = f"{kind} {'parent' if of is parent else 'bare'} in a scope"
            assert said(name) == ("scope's", "s", "baggage's", of.id), kind


def test_what_opentelemetry_carries_is_current_for_updates_and_scores(
    client: tracespool.Client, collector: Any, key: str, sent: Sent
) -> None:
    def work(carried: context.Context) -> None:
        token = context.attach(carried)
        client.update_current_span(output="from the thread")
        client.update_current_generation(model="m")
        client.score_current_span(name="span", value=1)
        client.score_current_trace(name="trace", value=1)
        client.update_current_trace(tags=["t"])
        context.detach(token)

    with tracespool.propagate_attributes(environment="qa"), client.start_as_current_observation(name="root") as root:
        thread = threading.Thread(target=work, args=(context.get_current(),))
        thread.start()
        thread.join()
    row = sent()["root"]
    assert (row["output"], row["model"], row["type"], row["tags"]) == ("from the thread", "m", "generation", ["t"])
    scores = {score["name"]: score for score in collector.scores(key)}
    assert scores["span"]["observation_id"] == root.id and scores["trace"]["trace_id"] == root.trace_id
    assert {score["environment"] for score in scores.values()} == {"qa"}


def test_baggage_of_the_langfuse_sdk(client: tracespool.Client, sent: Sent) -> None:
    held = baggage.set_baggage("langfuse_tags", "['t1', 't2']")
    held = baggage.set_baggage("langfuse_metadata_k", '"acme"', held)
    held = baggage.set_baggage("langfuse_environment", "NOT VALID", held)
    token = context.attach(baggage.set_baggage("other", "x", held))
    client.start_observation(name="one").end()
    with tracespool.propagate_attributes(metadata={"k": "mine"}):
        client.start_observation(name="two").end()
    context.detach(token)
    rows = sent()
    assert rows["one"]["tags"] == ["t1", "t2"] and rows["one"]["environment"] == "default"
    assert rows["one"]["attributes"]["langfuse.trace.metadata.k"] == "acme"
    assert rows["two"]["attributes"]["langfuse.trace.metadata.k"] == "mine"
