"""Traces that are shed: all of them, whole ones, before anything is encoded, and counted."""

from __future__ import annotations

import logging
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import tracespool
from conftest import Collector
from tracespool import ops

Sent = Callable[[], dict[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def everything_again() -> Iterator[None]:
    yield
    tracespool.set_admission(1.0)


def shed(client: tracespool.Client, lane: str = "observations") -> int:
    (row,) = [row for row in tracespool.stats()["destinations"] if row["public_key"] == client.public_key]
    counts = row[lane]
    ended = counts["delivered"] + counts["pending"] + counts["unconfirmed"] + sum(counts["dropped"].values())
    assert counts["submitted"] == ended, counts
    return int(counts["dropped"].get("shed", 0))


class Watched(list[int]):
    """A value that knows how often it was encoded."""

    seen = 0

    def __iter__(self) -> Iterator[int]:
        self.seen += 1
        return iter((1, 2))


def test_whoever_begins_a_trace_nothing_is_encoded_and_all_is_counted(client: tracespool.Client, sent: Sent) -> None:
    value = Watched()

    @tracespool.observe()
    def observed(it: Watched) -> Watched:
        with client.start_as_current_observation(name="below", input=it) as inner:
            inner.update(output=it, metadata={"it": it})
        return it

    @client.start_as_current_observation(name="decorated")
    def decorated() -> None:
        pass

    tracespool.set_admission(0.0)
    observed(value)
    with client.start_as_current_observation(name="with", input=value, metadata={"it": value}) as block:
        assert not block.is_recording and block.traceparent().endswith("-00")
        with block.start_as_current_observation(name="inside", input=value):
            pass
        block.create_event(name="event", input=value)
    own = client.start_observation(name="own", input=value)
    own.start_observation(name="child", input=value).end()
    own.update(output=value).end()
    client.create_event(name="event", input=value)
    with client.start_as_current_observation(name="remote", input=value, trace_context={"trace_id": "a" * 32}):
        pass
    decorated()
    assert value.seen == 0
    assert shed(client) == 10
    tracespool.set_admission(1.0)
    decorated()
    with client.start_as_current_observation(name="after", input=value):
        pass
    assert set(sent()) == {"decorated", "after"} and value.seen == 1
    assert shed(client) == 10


def test_a_trace_that_was_begun_is_recorded_to_its_end(client: tracespool.Client, sent: Sent) -> None:
    with client.start_as_current_observation(name="root") as root:
        tracespool.set_admission(0.0)
        with client.start_as_current_observation(name="child", input="x") as child:
            child.start_observation(name="grandchild").end()
            with client.start_as_current_observation(name="again", trace_context={"trace_id": root.trace_id}):
                pass
        run = tracespool.in_context(lambda: client.start_observation(name="thread").end())
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        root.score(name="s", value=1)
        other = client.start_observation(name="other", trace_context={"trace_id": "b" * 32})
        other.end()
    with client.start_as_current_observation(name="next"):
        pass
    assert set(sent()) == {"root", "child", "grandchild", "again", "thread"}
    assert shed(client) == 2 and shed(client, "scores") == 0


def test_a_trace_that_was_shed_stays_away_whole(client: tracespool.Client, collector: Collector, key: str, sent: Sent) -> None:
    other = tracespool.Client(public_key=f"{key}-other", secret_key="sk", base_url=collector.url)
    tracespool.set_admission(0.0)
    with client.start_as_current_observation(name="root") as root:
        tracespool.set_admission(1.0)
        with client.start_as_current_observation(name="child", input="x") as child:
            child.score(name="s", value=1)
            client.score_current_trace(name="t", value=1)
            other.start_observation(name="elsewhere").end()
        root.start_observation(name="below").end()
    with client.start_as_current_observation(name="next") as following:
        following.score(name="kept", value=1)
    assert set(sent()) == {"next"} and [score["name"] for score in collector.scores(key)] == ["kept"]
    assert (shed(client), shed(client, "scores"), shed(other)) == (3, 2, 1)
    tracespool.cleanup_client(other.public_key, timeout=5.0)


def test_scores_that_name_their_trace(client: tracespool.Client, collector: Collector, key: str) -> None:
    tracespool.set_admission(0.0)
    client.create_score(name="of-a-trace", value=1, trace_id="c" * 32)
    client.create_score(name="of-a-session", value=1, session_id="s")
    assert shed(client, "scores") == 2
    tracespool.set_admission(0.5)
    client.create_score(name="of-a-session", value=1, session_id="s")
    assert client.flush(5.0)["complete"]
    assert [score["name"] for score in collector.scores(key)] == ["of-a-session"]


def test_a_share_keeps_or_sheds_whole_traces(collector: Collector, key: str) -> None:
    client = tracespool.Client(public_key=key, secret_key="sk", base_url=collector.url, sample_rate=0.25)
    tracespool.set_admission(0.5)
    value, kept, traces = Watched(), set(), 400
    for _ in range(traces):
        with client.start_as_current_observation(name="root", input=value) as root:
            with client.start_as_current_observation(name="child") as child:
                assert child.is_recording == root.is_recording and child.trace_id == root.trace_id
            if root.is_recording:
                kept.add(root.trace_id)
                client.create_score(name="s", value=1, trace_id=root.trace_id)
    assert 20 <= len(kept) <= 85, "half of the quarter that sampling has left"
    assert shed(client) % 2 == 0 and value.seen == traces - shed(client) / 2
    assert 20 <= shed(client) / 2 <= 85 and shed(client, "scores") == 0
    for trace in kept:  # wherever it goes on
        assert client.start_observation(name="more", trace_context={"trace_id": trace}).end()
    assert shed(client) / 2 + len(kept) < traces / 2
    assert client.flush(5.0)["complete"]
    assert collector.counts(key)["observations"] == 3 * len(kept)
    tracespool.cleanup_client(key, timeout=5.0)


def test_a_shed_trace_costs_no_capture_with_a_share(client: tracespool.Client) -> None:
    client.flush(5.0)
    tracespool.set_admission(0.5)
    value, recorded = Watched(), 0
    for _ in range(100):
        with client.start_as_current_observation(name="root", input=value) as root:
            recorded += root.is_recording
    assert value.seen == recorded and 20 < recorded < 80


def test_ids_are_still_the_generators(collector: Collector, key: str) -> None:
    class Counting:
        span = trace = 0

        def generate_trace_id(self) -> int:
            self.trace += 1
            return self.trace << 64 | uuid.uuid4().int >> 64

        def generate_span_id(self) -> int:
            self.span += 1
            return self.span

    ids = Counting()
    client = tracespool.Client(public_key=key, secret_key="sk", base_url=collector.url, id_generator=ids)
    tracespool.set_admission(0.5)
    for number in range(1, 21):
        with client.start_as_current_observation(name="root") as root:
            assert int(root.trace_id, 16) >> 64 == number == int(root.id, 16)
    tracespool.cleanup_client(key, timeout=5.0)


def test_a_decorator_that_is_made_meanwhile_says_what_it_has_lost(client: tracespool.Client, sent: Sent, caplog: pytest.LogCaptureFixture) -> None:
    tracespool.set_admission(0.0)

    @client.start_as_current_observation(name="decorated", metadata={"a": 1})
    def function() -> None:
        pass

    function()
    tracespool.set_admission(1.0)
    function()
    with caplog.at_level(logging.WARNING, "tracespool"):
        assert set(sent()) == {"decorated"}
    assert "decorated while new traces are not admitted" in caplog.text


@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan"), "none", None, [1]])
def test_what_is_no_share_is_told_and_changes_nothing(wrong: Any, caplog: pytest.LogCaptureFixture) -> None:
    tracespool.set_admission(0.25)
    with caplog.at_level(logging.WARNING, "tracespool"):
        tracespool.set_admission(wrong)
        tracespool.stats()
    assert tracespool.admission() == 0.25 == tracespool.stats()["admission"]
    assert "set_admission: the share of traces to admit is a number from 0 to 1, not" in caplog.text
    tracespool.set_admission(True)
    assert tracespool.admission() == 1.0


def test_the_reason_is_told_and_measured(client: tracespool.Client) -> None:
    told: list[dict[str, Any]] = []
    tracespool.on_drop(told.append)
    try:
        tracespool.set_admission(0.0)
        client.start_observation(name="x").end()
        client.create_score(name="s", value=1, trace_id="d" * 32)
        client.flush(0.0)
    finally:
        tracespool.on_drop(lambda drop: None)
    mine = {(drop["lane"], drop["reason"]): drop["count"] for drop in told if drop["public_key"] == client.public_key}
    assert mine == {("observations", "shed"): 1, ("scores", "shed"): 1}
    families = text_string_to_metric_families(ops.prometheus())
    samples = {(sample.name, sample.labels.get("lane"), sample.labels.get("reason")): sample.value for family in families for sample in family.samples}
    assert samples["tracespool_admission", None, None] == 0
    stats = tracespool.stats()
    for lane in ("observations", "scores"):
        assert samples["tracespool_items_dropped_total", lane, "shed"] == stats[lane]["dropped"]["shed"] > 0


def test_spans_of_other_instrumentation_are_shed_with_their_trace(client: tracespool.Client, sent: Sent) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from tracespool.otel import TracespoolSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(TracespoolSpanProcessor(client))
    known, plumbing = provider.get_tracer("openinference.instrumentation.test"), provider.get_tracer("http")
    with known.start_as_current_span("begun"):
        tracespool.set_admission(0.0)
        with known.start_as_current_span("begun-child"):
            client.start_observation(name="begun-ours").end()
    with plumbing.start_as_current_span("not-exported"):
        with known.start_as_current_span("shed"):
            tracespool.set_admission(1.0)
            with known.start_as_current_span("shed-child"):
                client.start_observation(name="shed-ours").end()
        client.start_observation(name="shed-beside").end()
    with plumbing.start_as_current_span("kept-plumbing"):
        tracespool.set_admission(0.0)
        client.start_observation(name="kept-ours").end()
        with known.start_as_current_span("kept"):
            pass
    with client.start_as_current_observation(name="shed-root"):
        with known.start_as_current_span("shed-below-ours"):
            pass
    assert set(sent()) == {"begun", "begun-child", "begun-ours", "kept-ours", "kept"}
    assert shed(client) == 6


def test_a_parent_that_was_shed_is_no_parent_that_was_not_sampled(collector: Collector, key: str) -> None:
    client = tracespool.Client(public_key=key, secret_key="sk", base_url=collector.url, follow_parent_sampling=True)
    tracespool.set_admission(0.0)
    with client.start_as_current_observation(name="root"):
        client.start_observation(name="child").end()
    assert shed(client) == 2
    tracespool.cleanup_client(key, timeout=5.0)


def test_what_is_off_or_sampled_out_is_not_shed(collector: Collector, key: str) -> None:
    off = tracespool.Client(public_key=key, secret_key="sk", base_url=collector.url, sample_rate=0.0)
    tracespool.set_admission(0.0)
    with off.start_as_current_observation(name="root"):
        off.start_observation(name="child").end()
    assert shed(off) == 0
    tracespool.cleanup_client(key, timeout=5.0)


def test_the_documented_reasons_are_those_of_the_core() -> None:
    root = Path(__file__).resolve().parents[2]
    words = re.findall(r'Self::\w+ => "(\w+)"', (root / "core/src/report.rs").read_text().split("pub enum Lane")[0])
    table = re.findall(r"^\| `(\w+)` \|", (root / "README.md").read_text().split("| reason |")[1].split("\n\n")[0], re.M)
    assert "shed" in words and sorted(words) == sorted(table)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_the_child_of_a_fork_begins_with_all() -> None:
    tracespool.set_admission(0.0)
    child = os.fork()
    if child == 0:
        os._exit(0 if tracespool.admission() == 1.0 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert tracespool.admission() == 0.0
