"""`mask_otel_spans` and `span_exporter`: one thread for those clients that have one."""

from __future__ import annotations

import json
import threading
import time
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

import tracespool
from conftest import Collector
from tracespool.masking import MaskOtelSpansParams, MaskOtelSpansResult, OtelSpanPatch
from tracespool.otel import TracespoolSpanProcessor

Make = Callable[..., tracespool.Client]


@pytest.fixture
def make(collector: Collector, key: str) -> Iterator[Make]:
    made: list[tracespool.Client] = []

    def client(**options: Any) -> tracespool.Client:
        public_key = f"{key}-{len(made)}"
        made.append(tracespool.Client(public_key=public_key, secret_key="sk", base_url=collector.url, **options))
        return made[-1]

    yield client
    for one in made:
        tracespool.cleanup_client(one.public_key, timeout=1.0)


def span(client: tracespool.Client, **attributes: Any) -> None:
    provider = TracerProvider()
    provider.add_span_processor(TracespoolSpanProcessor(client))
    with provider.get_tracer("openinference", "1").start_as_current_span("span", attributes=attributes) as made:
        made.add_event("said", {"text": "secret"})


def lane(client: tracespool.Client) -> dict[str, Any]:
    parts = tracespool.stats()["destinations"]
    return next(part for part in parts if part["public_key"] == client.public_key)["observations"]


def stage_threads() -> int:
    return sum(thread.name == "tracespool-stage" for thread in threading.enumerate())


def test_patches_change_what_is_sent(make: Make, collector: Collector) -> None:
    seen: list[Any] = []

    def mask(*, params: MaskOtelSpansParams) -> MaskOtelSpansResult:
        seen.extend(params.spans.values())
        patch = OtelSpanPatch(set_attributes={"input.value": "***", "list": ["a"]}, delete_attributes=["token"])
        return MaskOtelSpansResult({name: patch for name, data in params.spans.items() if "token" in data.attributes})

    masked, plain = make(mask_otel_spans=mask), make()
    for client in (masked, plain):
        span(client, **{"input.value": "secret", "token": "t", "kept": 1})
        client.start_observation(name="mine", input="untouched", metadata={"a": 1}).end()
    assert masked.flush(5.0)["complete"] and plain.flush(5.0)["complete"]
    rows, others = collector.observations(masked.public_key), collector.observations(plain.public_key)
    attributes = rows["span"]["attributes"]
    assert (attributes["input.value"], attributes["list"], attributes["kept"]) == ("***", ["a"], 1)
    assert "token" not in attributes and rows["span"]["scope"]["name"] == "openinference"
    assert rows["mine"]["input"] == "untouched" and rows["mine"]["metadata"] == {"a": 1}
    assert others["span"]["attributes"]["token"] == "t"
    by_name = {data.name: data for data in seen}
    assert by_name["span"].instrumentation_scope_name == "openinference"
    assert by_name["span"].resource_attributes["telemetry.sdk.name"] == "opentelemetry"
    assert by_name["mine"].attributes["langfuse.observation.input"] == "untouched"
    assert len(seen) == 2, "the other client's spans are nobody else's"


def raising(*, params: MaskOtelSpansParams) -> MaskOtelSpansResult:
    raise RuntimeError("mask")


def nonsense(*, params: MaskOtelSpansParams) -> Any:
    return {"no": "result"}


def bad_patch(*, params: MaskOtelSpansParams) -> MaskOtelSpansResult:
    return MaskOtelSpansResult({name: "no patch" for name in params.spans})  # type: ignore[misc]


def unknown(*, params: MaskOtelSpansParams) -> MaskOtelSpansResult:
    from tracespool.masking import OtelSpanIdentifier

    return MaskOtelSpansResult({OtelSpanIdentifier("0", "0"): OtelSpanPatch()})


@pytest.mark.parametrize("mask", [raising, nonsense, bad_patch, unknown])
def test_a_failing_mask_leaves_the_shell(make: Make, collector: Collector, mask: Any) -> None:
    client = make(mask_otel_spans=mask)
    with client.start_as_current_observation(name="mine", as_type="tool", input="secret", metadata={"k": "secret"}) as mine:
        mine.update(status_message="secret", level="ERROR")
        span(client, **{"input.value": "secret"})
    assert client.flush(5.0)["complete"]
    rows = collector.observations(client.public_key)
    assert set(rows) == {"mine", "span"} and "secret" not in json.dumps(rows)
    assert (rows["mine"]["type"], rows["mine"]["level"]) == ("tool", "ERROR") and rows["span"]["parent"] == mine.id
    counted = lane(client)
    assert (counted["mask_failed"], counted["delivered"], counted["submitted"], counted["dropped"]) == (2, 2, 2, {})


class Keeping(SpanExporter):
    def __init__(self, result: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.spans: list[ReadableSpan] = []
        self.threads: set[str] = set()
        self.flushed = 0
        self.result = result

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans.extend(spans)
        self.threads.add(threading.current_thread().name)
        return self.result

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        self.flushed += 1
        return True


def test_an_exporter_gets_spans_instead_of_the_server(make: Make, collector: Collector) -> None:
    first, second = Keeping(), Keeping()
    one, two = make(span_exporter=first, environment="one"), make(span_exporter=second)
    with one.start_as_current_observation(name="root", as_type="agent", input={"q": 1}) as root:
        one.start_observation(name="child").end()
        span(one, a=1)
    two.start_observation(name="other").end()
    report = one.flush(5.0)
    assert (report["complete"], report["delivered"], report["pending"]) == (True, 3, 0)
    two.flush(5.0)
    by_name = {made.name: made for made in first.spans}
    assert set(by_name) == {"root", "child", "span"} and [made.name for made in second.spans] == ["other"]
    assert all(isinstance(made, ReadableSpan) for made in first.spans)
    made = by_name["root"]
    assert made.attributes is not None and made.attributes["langfuse.environment"] == "one"
    assert json.loads(made.attributes["langfuse.observation.input"]) == {"q": 1}
    assert made.context is not None and made.context.span_id == int(root.id, 16) and made.context.trace_flags.sampled
    child = by_name["child"]
    assert child.parent is not None and child.parent.span_id == made.context.span_id
    assert made.to_json() and made.instrumentation_scope is not None and made.instrumentation_scope.name == "langfuse-sdk"
    foreign = by_name["span"]
    assert foreign.instrumentation_scope is not None and foreign.instrumentation_scope.name == "openinference"
    assert [event.name for event in foreign.events] == ["said"]
    assert first.flushed == 1 and first.threads == {"tracespool-stage"} and stage_threads() == 1
    assert collector.counts(one.public_key)["observations"] == 0
    assert (lane(one)["delivered"], lane(one)["submitted"]) == (3, 3)


def test_a_mask_comes_before_the_exporter_and_refusals_are_counted(make: Make) -> None:
    def mask(*, params: MaskOtelSpansParams) -> MaskOtelSpansResult:
        return MaskOtelSpansResult(
            {name: OtelSpanPatch(set_attributes={"langfuse.observation.input": "***"}) for name in params.spans}
        )

    exporter = Keeping(SpanExportResult.FAILURE)
    client = make(span_exporter=exporter, mask_otel_spans=mask)
    client.start_observation(name="mine", input="secret").end()
    report = client.flush(5.0)
    assert (report["dropped"], report["pending"]) == (1, 0)
    (made,) = exporter.spans
    assert made.attributes is not None and made.attributes["langfuse.observation.input"] == "***"
    assert lane(client)["dropped"] == {"rejected": 1}


def test_a_hanging_exporter_holds_nobody(make: Make, collector: Collector) -> None:
    release = threading.Event()

    class Hanging(Keeping):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            release.wait(20)
            return super().export(spans)

    hanging, other = make(span_exporter=Hanging()), make()
    started = time.monotonic()
    for _ in range(100):
        hanging.start_observation(name="mine").end()
    assert time.monotonic() - started < 0.5
    report = hanging.flush(0.3)
    assert time.monotonic() - started < 1.5 and not report["complete"] and report["pending"] == 100
    other.start_observation(name="other").end()
    assert other.flush(5.0)["complete"]
    release.set()
    assert hanging.flush(5.0)["complete"] and lane(hanging)["delivered"] == 100


def test_a_call_that_does_not_come_back_is_left_behind(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from tracespool import _stage

    monkeypatch.setattr(_stage, "STUCK", 0.3)
    release = threading.Event()

    class Hanging(Keeping):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            release.wait(20)
            return super().export(spans)

    exporter = Keeping()
    stuck, well = make(span_exporter=Hanging()), make(span_exporter=exporter)
    stuck.start_observation(name="mine").end()
    stuck.flush(0.5)
    well.start_observation(name="other").end()
    assert well.flush(5.0)["delivered"] == 1 and [made.name for made in exporter.spans] == ["other"]
    stuck.start_observation(name="late").end()
    assert lane(stuck)["dropped"]["rejected"] >= 1
    release.set()
    deadline = time.monotonic() + 5
    while stage_threads() > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert stage_threads() == 1
    stuck.start_observation(name="again").end()
    assert stuck.flush(5.0)["complete"]


def test_what_waits_is_bounded_by_the_budget() -> None:
    release = threading.Event()

    def mask(*, params: MaskOtelSpansParams) -> None:
        release.wait(20)

    client = tracespool.Client(
        public_key="pk-stage-full", secret_key="sk", base_url="http://127.0.0.1:9", mask_otel_spans=mask
    )
    try:
        for _ in range(60):
            client.start_observation(name="large", input="x" * 1_000_000).end()
        # Half of the process's 64 MiB: nobody else needs them.
        assert 25 <= lane(client)["dropped"]["queue_full"] <= 35
    finally:
        release.set()
        tracespool.cleanup_client("pk-stage-full", timeout=0.0)


def test_asyncio_waits_without_a_thread_more(make: Make, collector: Collector) -> None:
    import asyncio

    client = make(mask_otel_spans=lambda *, params: None)
    client.start_observation(name="mine").end()
    report = asyncio.run(client.aflush(5.0))
    assert report["complete"] and set(collector.observations(client.public_key)) == {"mine"}


def test_a_finalizer_that_traces_while_a_span_is_taken_does_not_hang(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from tracespool import _stage

    client = make(mask_otel_spans=lambda *, params: None)
    ended = 0

    class Watched(threading.Thread):
        """Stands for the collector, which may run a finalizer at any allocation."""

        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            nonlocal ended
            super().__init__(*arguments, **keywords)
            if ended < 3:
                ended += 1
                client.start_observation(name="finalizer").end()

    monkeypatch.setattr(_stage, "_thread", _stage._Thread())
    monkeypatch.setattr(_stage, "threading", types.SimpleNamespace(**{**vars(threading), "Thread": Watched}))
    caller = threading.Timer(0.0, client.start_observation(name="mine").end)
    caller.daemon = True
    caller.start()
    caller.join(5.0)
    assert not caller.is_alive()
    assert client.flush(5.0)["complete"] and lane(client)["delivered"] == ended + 1 == 4


def test_an_exporter_that_flushes_its_client_does_not_wait_for_itself(make: Make) -> None:
    class Flushing(Keeping):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            self.client.flush(5.0)
            return super().export(spans)

    exporter = Flushing()
    exporter.client = make(span_exporter=exporter)
    exporter.client.start_observation(name="mine").end()
    started = time.monotonic()
    assert exporter.client.flush(10.0)["complete"] and time.monotonic() - started < 3
    assert [made.name for made in exporter.spans] == ["mine"]


def test_flushes_of_all_and_clean_ups_wait_for_masks(make: Make, collector: Collector) -> None:
    import asyncio

    one, two = make(mask_otel_spans=lambda *, params: time.sleep(0.2)), make(mask_otel_spans=lambda *, params: time.sleep(0.2))
    one.start_observation(name="mine").end()
    asyncio.run(tracespool.aflush_all(2.0))
    assert set(collector.observations(one.public_key)) == {"mine"}
    two.start_observation(name="mine").end()
    assert tracespool.cleanup_client(two.public_key, timeout=5.0)["complete"]
    assert set(collector.observations(two.public_key)) == {"mine"}
