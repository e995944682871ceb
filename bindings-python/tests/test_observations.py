"""What the calls on clients and observations make of their arguments, as a server stores it."""

from __future__ import annotations

import datetime
import gc
import threading
import uuid
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import tracespool
from conftest import Collector

Sent = Callable[[], dict[str, dict[str, Any]]]


def test_nesting_and_fields(client: tracespool.Client, sent: Sent) -> None:
    with client.start_as_current_observation(name="root", input={"q": 1}, metadata={"s": "x", "n": 1, "o": {"a": [1]}}) as root:
        with client.start_as_current_observation(name="gen", as_type="generation", model="m") as gen:
            assert client.get_current_observation_id() == gen.id
            gen.update(
                output="hello",
                usage_details={"input": 1},
                cost_details={"total": 0.5},
                model_parameters={"temperature": 0.5},
                completion_start_time=datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
                level="WARNING",
                status_message="slow",
                prompt={"name": "p", "version": 3},
                version="v1",
            )
        side = root.start_observation(name="side", as_type="tool")
        assert tracespool.get_current_observation_id() == root.id
        side.end()
    assert tracespool.get_current_observation_id() is None
    stored = sent()
    attributes = stored["gen"]["attributes"]
    assert stored["gen"]["parent"] == stored["side"]["parent"] == root.id
    assert {row["trace_id"] for row in stored.values()} == {root.trace_id}
    assert (stored["root"]["metadata"]["s"], stored["root"]["metadata"]["n"]) == ("x", 1)
    assert stored["root"]["attributes"]["langfuse.observation.metadata.o"] == '{"a":[1]}'
    assert stored["root"]["is_app_root"] and not stored["gen"]["is_app_root"]
    assert stored["gen"]["output"] == "hello"
    assert attributes["langfuse.observation.usage_details"] == '{"input":1}'
    assert attributes["langfuse.observation.completion_start_time"] == '"2026-01-02T00:00:00Z"'
    assert attributes["langfuse.observation.prompt.version"] == 3
    assert (stored["gen"]["level"], stored["gen"]["status_message"], stored["gen"]["version"]) == ("WARNING", "slow", "v1")
    assert stored["side"]["type"] == "tool"


def test_fields_replace_and_metadata_merges(client: tracespool.Client, sent: Sent) -> None:
    span = client.start_observation(name="old", input="a", metadata={"x": 1, "y": 1})
    assert span.update(name="new", input="b", metadata={"y": 2, "z": None}) is span
    assert span.end() is span
    span.update(input="late").end()
    stored = sent()
    assert list(stored) == ["new"]
    assert stored["new"]["input"] == "b"
    assert stored["new"]["metadata"] == {"x": 1, "y": 2}


def test_errors_are_recorded_and_raised_on(client: tracespool.Client, sent: Sent) -> None:
    with pytest.raises(ValueError, match="bad"), client.start_as_current_observation(name="message"):
        raise ValueError("bad")
    with pytest.raises(KeyboardInterrupt), client.start_as_current_observation(name="type"):
        raise KeyboardInterrupt
    stored = sent()
    assert (stored["message"]["level"], stored["message"]["status_message"]) == ("ERROR", "ValueError: bad")
    assert stored["type"]["status_message"] == "KeyboardInterrupt"


def test_events_and_explicit_ends(client: tracespool.Client, sent: Sent) -> None:
    with client.start_as_current_observation(name="root") as root:
        client.create_event(name="e1", input=1)
        root.create_event(name="e2")
        root.start_observation(name="e3", as_type="event")
    with client.start_as_current_observation(name="open", end_on_exit=False) as kept:
        pass
    assert kept.is_recording
    kept.end(end_time=2_000_000_000_000_000_000)
    stored = sent()
    assert {stored[name]["parent"] for name in ("e1", "e2", "e3")} == {root.id}
    assert stored["e1"]["type"] == "event"
    assert stored["open"]["end_ns"] == 2_000_000_000_000_000_000


def test_explicit_trace_contexts(client: tracespool.Client, sent: Sent) -> None:
    trace = client.create_trace_id(seed="seed")
    assert trace == tracespool.create_trace_id(seed="seed") == "19b25856e1c150ca834cffc8b59b23ad"
    client.start_observation(name="in", trace_context={"trace_id": trace.upper(), "parent_span_id": "00000000000000ff"}).end()
    with client.start_as_current_observation(name="outer"):
        with client.start_as_current_observation(name="moved", trace_context={"trace_id": trace}):
            client.start_observation(name="child").end()
    stored = sent()
    assert (stored["in"]["trace_id"], stored["in"]["parent"]) == (trace, "00000000000000ff")
    assert stored["moved"]["trace_id"] == stored["child"]["trace_id"] == trace
    assert stored["moved"]["attributes"]["langfuse.internal.as_root"] is True
    assert stored["outer"]["trace_id"] != trace


def test_current_updates_and_scores(client: tracespool.Client, collector: Collector, key: str, sent: Sent) -> None:
    with client.start_as_current_observation(name="root", as_type="embedding") as root:
        client.update_current_span(output="o", metadata={"a": 1})
        client.update_current_generation(model="m")
        client.set_current_trace_as_public()
        client.score_current_span(name="span", value=1)
        client.score_current_trace(name="trace", value=True, data_type="BOOLEAN")
        root.score(name="own", value="good", comment="c", metadata={"k": [1]})
        root.score_trace(name="its", value=0.25)
    client.create_score(
        name="session", value=2, session_id="s", score_id="mine", timestamp=datetime.datetime(2026, 1, 2), environment="other"
    )
    stored = sent()["root"]
    assert (stored["type"], stored["model"], stored["output"], stored["public"]) == ("embedding", "m", "o", True)
    scores = {score["name"]: score for score in collector.scores(key)}
    assert scores["span"]["observation_id"] == scores["own"]["observation_id"] == root.id
    assert scores["trace"]["observation_id"] is None and scores["trace"]["trace_id"] == root.trace_id
    assert (scores["own"]["string_value"], scores["own"]["metadata"]) == ("good", {"k": [1]})
    assert (scores["session"]["id"], scores["session"]["timestamp"][:19]) == ("mine", "2026-01-02T00:00:00")


def test_propagated_attributes(client: tracespool.Client, sent: Sent) -> None:
    with client.start_as_current_observation(name="root"):
        with tracespool.propagate_attributes(user_id="u", session_id="s", tags=["a"], metadata={"k": 1}, trace_name="T"):
            with tracespool.propagate_attributes(user_id="v", tags=["b"], environment="staging", prompt={"name": "p", "version": 1}):
                with client.start_as_current_observation(name="inner") as inner:
                    inner.start_observation(name="leaf").end()
            client.start_observation(name="middle").end()
        client.start_observation(name="outside").end()
    stored = sent()
    for name in ("inner", "leaf"):
        assert (stored[name]["user"], stored[name]["session"], stored[name]["tags"]) == ("v", "s", ["a", "b"])
        assert stored[name]["environment"] == "staging"
        assert stored[name]["attributes"]["langfuse.trace.metadata.k"] == 1
    assert (stored["middle"]["user"], stored["middle"]["tags"]) == ("u", ["a"])
    assert stored["root"]["session"] == "s"
    assert stored["outside"]["user"] is None


def test_a_block_that_is_entered_again(client: tracespool.Client, sent: Sent) -> None:
    block = tracespool.propagate_attributes(user_id="u")
    with client.start_as_current_observation(name="first"), block:
        client.start_observation(name="once").end()
        with tracespool.propagate_attributes(user_id="v"), block:
            client.start_observation(name="inside").end()
        client.start_observation(name="still").end()
    client.start_observation(name="between").end()
    with client.start_as_current_observation(name="second"), block:
        client.start_observation(name="later").end()
    client.start_observation(name="after").end()
    stored = sent()
    users = {name: stored[name]["user"] for name in ("once", "inside", "still", "between", "later", "after")}
    assert users == {"once": "u", "inside": "u", "still": "u", "between": None, "later": "u", "after": None}
    assert stored["later"]["parent"] == stored["second"]["span_id"]
    assert stored["inside"]["parent"] == stored["first"]["span_id"]
    assert stored["after"]["parent"] is None


def test_a_value_is_captured_by_the_call(client: tracespool.Client, sent: Sent) -> None:
    items = [1]
    scope = client.start_as_current_observation(name="scope", input=items)
    span = client.start_observation(name="span", input=items)
    items.append(2)
    with scope:
        pass
    span.end()
    stored = sent()
    assert stored["scope"]["input"] == stored["span"]["input"] == "[1]"


def test_no_reference_survives_the_call(client: tracespool.Client) -> None:
    class Tracked(dict):  # type: ignore[type-arg]
        pass

    value = Tracked(a=[1])
    gone = weakref.ref(value)
    span = client.start_observation(name="s", input=value, metadata=value)
    span.update(output=value, model_parameters=value)
    scope = client.start_as_current_observation(name="t", input=value)
    del value
    gc.collect()
    assert gone() is None
    span.end()
    with scope:
        pass


def test_mask_runs_on_content_and_fails_closed(collector: Collector, key: str) -> None:
    def mask(*, data: Any, **_: Any) -> Any:
        if data == "bad":
            raise RuntimeError("secret text in an error")
        return "<hidden>" if isinstance(data, str) else {**data, "k": "<hidden>"}

    client = tracespool.Client(public_key=key, secret_key="sk", base_url=collector.url, mask=mask)
    client.start_observation(name="a", input="text", output="bad", metadata={"k": "secret"}).end()
    with client.use():
        tracespool.observe(name="b")(lambda x, k: "out")(1, k=2)
    assert client.flush()["complete"]
    stored = collector.observations(key)
    assert stored["a"]["input"] == "<hidden>"
    assert stored["a"]["output"] == "<fully masked due to failed mask function>"
    assert stored["a"]["metadata"] == {"k": "<hidden>"}
    assert stored["b"]["input"] == '{"args":[1],"kwargs":{"k":2},"k":"<hidden>"}'
    assert stored["b"]["output"] == "<hidden>"


def test_a_mask_does_not_leak_its_client() -> None:
    class Owner:
        pass

    owner = Owner()
    gone = weakref.ref(owner)
    owner.client = tracespool.Client(public_key="pk-mask", secret_key="sk", base_url="http://127.0.0.1:9", mask=lambda *, data: owner)  # type: ignore[attr-defined]
    tracespool.cleanup_client("pk-mask", timeout=0.0)
    del owner
    gc.collect()
    assert gone() is None


def test_an_open_observation_keeps_the_mask_of_a_client_that_is_gone(collector: Collector, key: str) -> None:
    class Owner:
        def __init__(self) -> None:
            self.client = tracespool.Client(public_key=key, secret_key="sk", base_url=collector.url, mask=self.mask)

        def mask(self, *, data: Any) -> str:
            return "<hidden>"

    owner = Owner()
    gone, observation = weakref.ref(owner), owner.client.start_observation(name="open")
    # Another one takes its place, as where each request makes its own.
    client = tracespool.Client(public_key=key, secret_key="sk", base_url=collector.url)
    del owner
    gc.collect()
    observation.update(output="secret").end()
    assert client.flush(5.0)["complete"]
    assert collector.observations(key)["open"]["output"] == "<hidden>"
    del observation
    gc.collect()
    assert gone() is None
    tracespool.cleanup_client(key, timeout=1.0)


def test_two_threads_update_one_observation(client: tracespool.Client, sent: Sent) -> None:
    span = client.start_observation(name="shared")

    def work(thread: int) -> None:
        for i in range(500):
            span.update(metadata={f"k{thread}-{i % 10}": i}, output={"t": thread, "i": i})

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    span.end()
    assert len(sent()["shared"]["metadata"]) == 40


def test_clients_do_not_mix(collector: Collector, key: str) -> None:
    one = tracespool.Client(public_key=key + "-1", secret_key="sk", base_url=collector.url, environment="one")
    two = tracespool.Client(public_key=key + "-2", secret_key="sk", base_url=collector.url, release="r2")
    with one.start_as_current_observation(name="outer") as outer:
        assert tracespool.get_client() is one
        with two.start_as_current_observation(name="inner") as inner:
            assert tracespool.get_client() is two
            assert inner.trace_id == outer.trace_id
        with two.use():
            assert tracespool.get_client() is two
            tracespool.observe(name="used")(lambda: None)()
    assert tracespool.get_client(public_key=key + "-2") is two
    assert one.flush()["complete"] and two.flush()["complete"]
    assert list(collector.observations(key + "-1")) == ["outer"]
    stored = collector.observations(key + "-2")
    assert sorted(stored) == ["inner", "used"]
    assert all(row["parent"] is None and row["is_app_root"] and row["release"] == "r2" for row in stored.values())


def test_shutdown_does_not_end_a_key(client: tracespool.Client, collector: Collector, key: str) -> None:
    for _ in range(3):
        client.start_observation(name="x").end()
        assert client.shutdown(5.0)["complete"]
    assert collector.counts(key)["observations"] == 3
    assert tracespool.get_client(public_key=key) is client


def test_decorators_and_names_of_older_versions(client: tracespool.Client, sent: Sent) -> None:
    @client.start_as_current_observation(name="decorated", as_type="chain", input="i")
    def work(x: int) -> int:
        assert client.get_current_observation_id()
        return x + 1

    assert [work(1), work(2)] == [2, 3]
    assert work.__name__ == "work"
    with client.start_as_current_span(name="s3") as span:
        span.update_trace(user_id="u", tags=["t"], name="T", public=True)
        client.update_current_trace(session_id="s")
    client.start_generation(name="g3", model="m").end()
    stored = sent()
    assert stored["decorated"]["type"] == "chain"
    assert (stored["s3"]["user"], stored["s3"]["session"], stored["s3"]["tags"], stored["s3"]["public"]) == ("u", "s", ["t"], True)
    assert stored["g3"]["type"] == "generation"


def test_keys_of_metadata_are_text(client: tracespool.Client, sent: Sent) -> None:
    class Failing:
        def __str__(self) -> str:
            raise ValueError("no text")

    class Interrupting:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    client.start_observation(name="keys", metadata={None: 1, True: 2, "": 3, Failing(): 4}).end()
    with pytest.raises(KeyboardInterrupt):
        client.start_observation(name="interrupted", metadata={Interrupting(): 1})
    assert sent()["keys"]["metadata"] == {"None": 1, "True": 2, "": 3, "{}": 4}


def test_a_client_that_is_switched_off_stands_for_its_key(key: str, collector: Collector) -> None:
    options = {"public_key": key, "secret_key": "sk", "base_url": collector.url}
    off = tracespool.Client(**options, tracing_enabled=False)
    assert tracespool.get_client(public_key=key) is off
    on = tracespool.Client(**options)
    tracespool.Client(**options, tracing_enabled=False)
    assert tracespool.get_client(public_key=key) is on
    tracespool.cleanup_client(key, timeout=1.0)


def test_a_run_that_is_told_twice_holds_nothing_afterwards(client: tracespool.Client, sent: Sent) -> None:
    recorder, number = tracespool._native.Recorder(), uuid.uuid4()
    recorder._open(None, client, False)
    runs = recorder._runs
    for name in ("first", "second"):
        recorder.on_chain_start({"name": name}, "in", run_id=number, name=name)
    recorder.on_chain_end("out", run_id=number)
    assert (len(runs), runs.bytes) == (0, 0)
    stored = sent()
    assert set(stored) == {"first", "second"} and stored["second"]["output"] == "out"
