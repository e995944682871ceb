"""The names of Langfuse's SDK: classes for `isinstance`, methods of versions 3 and 4, and what programs reach into."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pydantic
import pytest

import tracespool
import tracespool.langfuse as face
from tracespool import _native
from tracespool.langfuse import Langfuse, get_client
from tracespool.langfuse._client.resource_manager import LangfuseResourceManager
from tracespool.langfuse._client.span import LangfuseObservationWrapper

Sent = Callable[[], dict[str, dict[str, Any]]]

_CLASSES = {
    "span": face.LangfuseSpan,
    "generation": face.LangfuseGeneration,
    "event": face.LangfuseEvent,
    "agent": face.LangfuseAgent,
    "tool": face.LangfuseTool,
    "chain": face.LangfuseChain,
    "embedding": face.LangfuseEmbedding,
    "evaluator": face.LangfuseEvaluator,
    "retriever": face.LangfuseRetriever,
    "guardrail": face.LangfuseGuardrail,
}


@pytest.fixture
def langfuse(client: tracespool.Client) -> Langfuse:
    """The test's client as a program of Langfuse's SDK gets it."""
    with client.use():
        return get_client()


@pytest.mark.parametrize("kind", list(_CLASSES))
def test_an_observation_is_of_the_class_of_its_type_only(dead_client: tracespool.Client, kind: Any) -> None:
    observation = dead_client.start_observation(name="x", as_type=kind)
    assert observation.observation_type == kind
    assert [name for name, cls in _CLASSES.items() if isinstance(observation, cls)] == [kind]
    assert isinstance(observation, LangfuseObservationWrapper)
    assert all(issubclass(cls, LangfuseObservationWrapper) for cls in _CLASSES.values())
    assert not isinstance("text", _CLASSES[kind])
    observation.end()
    assert isinstance(observation, _CLASSES[kind]), "also when it has ended"


def test_observations_of_decorators_and_blocks_know_their_type(dead_client: tracespool.Client) -> None:
    @tracespool.observe(as_type="tool")
    def tool() -> bool:
        return isinstance(_native.current_observation(), face.LangfuseTool)

    assert tool()
    with dead_client.start_as_current_observation(name="a", as_type="agent") as agent:
        assert isinstance(agent, face.LangfuseAgent)
        assert isinstance(agent.create_event(name="e"), face.LangfuseEvent)
        assert agent.client is dead_client


def test_the_classes_are_annotations(dead_client: tracespool.Client) -> None:
    def handle(span: face.LangfuseSpan | face.LangfuseGeneration, tool: typing.Optional[face.LangfuseTool] = None) -> None: ...

    assert typing.get_type_hints(handle)["tool"] == typing.Optional[face.LangfuseTool]

    class Holder(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        span: face.LangfuseSpan

    span = dead_client.start_observation(name="x")
    assert Holder(span=span).span is span  # type: ignore[arg-type]
    with pytest.raises(pydantic.ValidationError):
        Holder(span=dead_client.start_observation(name="y", as_type="generation"))  # type: ignore[arg-type]
    span.end()


def test_methods_called_through_the_classes(client: tracespool.Client, sent: Sent) -> None:
    span = client.start_observation(name="x")
    face.LangfuseSpan.update(span, output="by the class")
    face.LangfuseSpan.end(span)
    assert sent()["x"]["output"] == "by the class"


def test_names_of_versions_3_and_4(langfuse: Langfuse, sent: Sent) -> None:
    with langfuse.start_as_current_span(name="root", input="i") as root:
        langfuse.update_current_trace(name="trace", user_id="u", tags=["t"], public=True)
        root.update_trace(session_id="s", metadata={"k": 1})
        with langfuse.start_as_current_generation(name="generation", model="m") as generation:
            generation.update(usage_details={"input": 3})
        root.start_span("positional", input="p").end()
        root.start_generation(name="below", model="n").end()
        with root.start_as_current_span(name="block") as block, block.start_as_current_generation(name="inner"):
            pass
        langfuse.start_span(name="lone").end()
        langfuse.start_generation(name="lone generation").end()
        root.set_trace_io(output={"a": 1})
        langfuse.set_current_trace_io(input="replaced")
    rows = sent()
    assert {name: row["type"] for name, row in rows.items()} == {
        "root": "span",
        "generation": "generation",
        "positional": "span",
        "below": "generation",
        "block": "span",
        "inner": "generation",
        "lone": "span",
        "lone generation": "generation",
    }
    top = rows["root"]
    assert (top["trace_name"], top["user"], top["session"], top["tags"], top["public"]) == ("trace", "u", "s", ["t"], 1)
    assert (top["input"], top["output"]) == ("replaced", '{"a":1}')
    assert rows["inner"]["parent"] == rows["block"]["span_id"]
    assert rows["positional"]["input"] == "p"
    assert rows["lone"]["parent"] == top["span_id"]


def test_attributes_by_their_keys(client: tracespool.Client, sent: Sent) -> None:
    keys = face.LangfuseOtelSpanAttributes
    with client.start_as_current_observation(name="x", as_type="generation") as observation:
        span = observation._otel_span
        assert span.is_recording() and f"{span.get_span_context().trace_id:032x}" == observation.trace_id
        span.set_attributes({keys.OBSERVATION_MODEL: "m", keys.TRACE_USER_ID: "u", keys.TRACE_TAGS: ["a", "b"]})
        span.set_attribute(keys.OBSERVATION_OUTPUT, {"a": 1})
        span.set_attribute(f"{keys.OBSERVATION_METADATA}.known", 1)
        span.set_attribute(f"{keys.TRACE_METADATA}.tenant", "acme")
        span.set_attribute("my.own", True)
        span.set_attribute(keys.OBSERVATION_LEVEL, "WARNING")
        span.set_attribute(keys.OBSERVATION_STATUS_MESSAGE, "careful")
        span.update_name("renamed")
    row = sent()["renamed"]
    assert (row["model"], row["user"], row["tags"], row["level"], row["status_message"]) == ("m", "u", ["a", "b"], "WARNING", "careful")
    assert row["output"] == '{"a":1}'
    assert row["metadata"]["known"] == 1 and row["metadata"]["my.own"] is True
    assert row["attributes"]["langfuse.trace.metadata.tenant"] == "acme"


def test_attributes_by_their_keys_are_masked(collector: Any, key: str) -> None:
    client = Langfuse(public_key=key, secret_key="sk-very-secret", base_url=collector.url, mask=lambda *, data: "masked")
    with client.start_as_current_observation(name="x") as observation:
        observation.set_attribute("langfuse.observation.input", "secret")
        observation.set_attribute("my.own", "secret")
    assert client.flush()["complete"]
    row = collector.observations(key)["x"]
    assert (row["input"], row["metadata"]["my.own"]) == ("masked", "masked")
    tracespool.cleanup_client(key)


def test_the_tracer_of_a_client(langfuse: Langfuse, sent: Sent) -> None:
    with langfuse._otel_tracer.start_as_current_span("outer", attributes={"langfuse.observation.input": "i"}) as outer:
        inner = langfuse._otel_tracer.start_span("inner")
        inner.record_exception(ValueError("bad"))
        inner.end()
    rows = sent()
    assert rows["outer"]["input"] == "i"
    assert rows["inner"]["parent"] == f"{outer.get_span_context().span_id:016x}"
    assert (rows["inner"]["level"], rows["inner"]["status_message"]) == ("ERROR", "bad")


def test_classes_made_around_a_span(langfuse: Langfuse, sent: Sent) -> None:
    observation = langfuse.start_observation(name="x", as_type="generation")
    same = face.LangfuseGeneration(otel_span=observation._otel_span, langfuse_client=langfuse, model="m")
    assert same is observation
    same.end()

    class Foreign:
        name = "foreign"

        def get_span_context(self) -> Any:
            return observation._otel_span.get_span_context()

    face.LangfuseTool(otel_span=Foreign(), langfuse_client=langfuse, environment="staging").end()
    rows = sent()
    assert rows["x"]["model"] == "m"
    foreign = rows["foreign"]
    assert (foreign["type"], foreign["parent"], foreign["environment"]) == ("tool", rows["x"]["span_id"], "staging")


def test_the_resource_manager_is_a_view(langfuse: Langfuse, key: str, collector: Any) -> None:
    managers = LangfuseResourceManager._instances
    assert key in managers and managers[key].client is langfuse
    manager = langfuse._resources
    assert manager is not None
    assert (manager.public_key, manager.secret_key, manager.base_url) == (key, "sk-very-secret", collector.url)
    assert "sk-very-secret" not in repr(manager) + repr(managers) + repr(langfuse)
    assert langfuse._tracing_enabled and langfuse._base_url == collector.url
    assert len(langfuse._create_observation_id(seed="s")) == 16


def test_resetting_closes_the_clients(collector: Any, key: str) -> None:
    client = Langfuse(public_key=key, secret_key="sk", base_url=collector.url)
    client.start_span(name="x").end()
    managers = LangfuseResourceManager._instances
    managers.pop(key)
    assert key not in managers
    assert collector.wait_for(key, 1) == 1
    client.start_span(name="y").end()
    assert client.flush()["complete"], "a client that was closed works again"
    LangfuseResourceManager.reset()
    assert len(managers) == 0


def test_the_client_of_the_face_is_a_langfuse(dead_client: tracespool.Client, key: str) -> None:
    plain = tracespool.get_client(public_key=key)
    found = get_client(public_key=key)
    assert isinstance(found, Langfuse) and found.base_url == plain.base_url
    assert get_client(public_key=key) is found
    found.anything = 1  # type: ignore[attr-defined]  # a program's own attributes stay with it
    assert get_client(public_key=key).anything == 1  # type: ignore[attr-defined]


def test_switched_off_keeps_its_keys_for_the_rest() -> None:
    client = Langfuse(public_key="pk-off", secret_key="sk-off", base_url="http://127.0.0.1:9", tracing_enabled=False)
    manager = client._resources
    assert manager is not None and not client.enabled
    assert (manager.public_key, manager.secret_key, manager.base_url) == ("pk-off", "sk-off", "http://127.0.0.1:9")
    assert client.api.datasets is not None


def test_small_things() -> None:
    from tracespool.langfuse import _utils, logger, types, version
    from tracespool.langfuse._client import attributes, constants, environment_variables
    from tracespool.langfuse._utils.serializer import EventSerializer

    assert face.__version__ == version.__version__ and face.__version__[0].isdigit()
    evaluation = face.Evaluation(name="n", value=1)
    assert (evaluation.comment, evaluation.metadata, evaluation.data_type, evaluation.config_id) == (None, None, None, None)
    with pytest.raises(TypeError):
        face.Evaluation("n", 1)  # type: ignore[misc]
    when = datetime(2026, 1, 2, tzinfo=timezone.utc)
    assert json.loads(json.dumps({"at": when, "s": {1}}, cls=EventSerializer)) == {"at": "2026-01-02T00:00:00Z", "s": [1]}
    assert EventSerializer().encode("text") == '"text"' and EventSerializer().encode(None) == "null"
    assert attributes._serialize("text") == "text" and attributes._serialize(None) is None
    assert constants.get_observation_types_list(constants.ObservationTypeLiteral) == list(
        {"generation": 0, "embedding": 0, "span": 0, "agent": 0, "tool": 0, "chain": 0, "retriever": 0, "evaluator": 0, "guardrail": 0, "event": 0}
    )
    assert environment_variables.LANGFUSE_PUBLIC_KEY == "LANGFUSE_PUBLIC_KEY"
    assert logger.langfuse_logger.name == "langfuse"
    patch = types.OtelSpanPatch(delete_attributes=("a",))
    assert dict(patch.set_attributes) == {} and types.MaskOtelSpansResult().span_patches == {}
    assert types.OtelSpanIdentifier("t", "s") == types.OtelSpanIdentifier("t", "s")
    assert _utils._get_timestamp().tzinfo is timezone.utc
    with pytest.raises(AttributeError, match="nonsense"):
        face.nonsense  # noqa: B018


def test_the_attribute_keys_are_the_installed_package_s() -> None:
    theirs = pytest.importorskip("langfuse").LangfuseOtelSpanAttributes
    ours = vars(face.LangfuseOtelSpanAttributes)
    wanted = {name: value for name, value in vars(theirs).items() if name.isupper()}
    assert wanted and wanted.items() <= ours.items()
