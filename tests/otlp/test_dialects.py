"""Clients of any OTLP backend, from outside: what arrives, and that it is as the protocol and the conventions ask."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import desk
from backend import Backend, attributes, check
from program import Program, environment

import tracespool
import tracespool.errors
from tracespool.langfuse import Langfuse

DIALECTS = ["openinference", "gen_ai", "langfuse"]


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend() as started:
        yield started
        now = time.time_ns()
        for received in started.requests:
            check(received.request, now)
    tracespool.cleanup_all_clients(timeout=1.0)


def delivered(client: tracespool.Client, count: int) -> None:
    report = client.flush(10.0)
    assert report["complete"] and report["delivered"] == count, report


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_agents_trace_arrives_as_the_protocol_asks(backend: Backend, dialect: str) -> None:
    client = tracespool.Client(otlp_endpoint=backend.url, dialect=dialect, headers={"X-Team": "shop"})
    desk.trace(client)
    delivered(client, desk.OBSERVATIONS)
    spans = {span.name: span for span in backend.spans()}
    assert set(spans) == {"answer", "search", "price", "write", "charge"}
    root = spans["answer"]
    assert all(spans[name].parent_span_id == root.span_id for name in ("search", "price", "write"))
    assert {spans[name].trace_id for name in ("search", "price", "write")} == {root.trace_id}
    (received,) = backend.requests
    assert received.path == "/v1/traces"
    assert received.headers["x-team"] == "shop"
    assert received.headers["content-type"] == "application/x-protobuf"
    assert not [name for name in received.headers if "langfuse" in name or name == "authorization"]
    scope = received.request.resource_spans[0].scope_spans[0].scope
    assert scope.name == ("langfuse-sdk-tracespool" if dialect == "langfuse" else "tracespool")
    if dialect != "langfuse":
        assert "langfuse" not in str(received.request)


def test_openinference(backend: Backend) -> None:
    client = tracespool.Client(otlp_endpoint=f"{backend.url}/v1/traces", dialect="openinference", environment="test")
    desk.trace(client)
    delivered(client, desk.OBSERVATIONS)
    said = {span.name: attributes(span.attributes) for span in backend.spans()}
    kinds = {name: fields["openinference.span.kind"] for name, fields in said.items()}
    assert kinds == {"answer": "AGENT", "search": "RETRIEVER", "price": "TOOL", "write": "LLM", "charge": "TOOL"}
    assert json.loads(said["answer"]["input.value"]) == {"question": desk.QUESTION}
    assert (said["answer"]["input.mime_type"], said["search"]["input.mime_type"]) == ("application/json", "text/plain")
    assert said["search"]["retrieval.documents.0.document.id"].startswith("doc-")
    assert json.loads(said["search"]["metadata"]) == {"shelf": 60}
    write = said["write"]
    assert (write["llm.model_name"], write["llm.input_messages.1.message.role"]) == ("demo-model-1", "user")
    assert json.loads(write["llm.invocation_parameters"]) == {"temperature": 0, "max_tokens": 256}
    assert write["llm.output_messages.0.message.content"] == json.loads(write["output.value"])["content"]
    assert write["llm.token_count.total"] == write["llm.token_count.prompt"] + write["llm.token_count.completion"] > 0
    assert write["llm.cost.total"] > 0
    for fields in (said["answer"], write):
        assert (fields["user.id"], fields["session.id"], fields["tag.tags"]) == ("ann", "ann-today", ["demo"])
        assert fields["deployment.environment.name"] == "test"
    assert (said["answer"]["agent.name"], said["price"]["tool.name"]) == ("answer", "price")
    _failed(backend)


def test_gen_ai_is_what_an_endpoint_gets_by_default(backend: Backend) -> None:
    client = tracespool.Client(otlp_endpoint=backend.url)
    assert (client.dialect, client.otlp_endpoint) == ("gen_ai", f"{backend.url}/v1/traces")
    desk.trace(client)
    delivered(client, desk.OBSERVATIONS)
    said = {span.name: attributes(span.attributes) for span in backend.spans()}
    operations = {name: fields["gen_ai.operation.name"] for name, fields in said.items()}
    assert operations == {
        "answer": "invoke_agent", "search": "retrieval", "price": "execute_tool", "write": "chat", "charge": "execute_tool",
    }  # fmt: skip
    write = said["write"]
    assert (write["gen_ai.request.model"], write["gen_ai.request.max_tokens"]) == ("demo-model-1", 256)
    assert write["gen_ai.usage.input_tokens"] > 0 < write["gen_ai.usage.output_tokens"]
    assert 0 <= write["gen_ai.response.time_to_first_chunk"] < 30
    asked, answered = (json.loads(write[f"gen_ai.{way}.messages"]) for way in ("input", "output"))
    assert [message["role"] for message in asked] == ["system", "user"]
    assert asked[1]["parts"][0]["content"].endswith(desk.QUESTION)
    assert (answered[0]["role"], answered[0]["parts"][0]["type"]) == ("assistant", "text")
    assert write["gen_ai.conversation.id"] == "ann-today"
    assert said["search"]["gen_ai.retrieval.query.text"] == desk.QUESTION
    assert json.loads(said["price"]["gen_ai.tool.call.result"])["currency"] == "EUR"
    assert (said["answer"]["gen_ai.agent.name"], said["price"]["gen_ai.tool.name"]) == ("answer", "price")
    assert {span.name: span.kind for span in backend.spans()} == {"answer": 1, "search": 3, "price": 1, "write": 3, "charge": 1}
    _failed(backend)


def _failed(backend: Backend) -> None:
    failed = backend.named("charge")
    assert (failed.status.code, failed.status.message) == (2, "ValueError: card declined")
    assert attributes(failed.attributes)["error.type"] == "ValueError"
    (event,) = failed.events
    said = attributes(event.attributes)
    assert (event.name, said["exception.type"], said["exception.message"]) == ("exception", "ValueError", "card declined")
    assert said["exception.stacktrace"].rstrip().endswith("ValueError: card declined")
    assert "desk.py" in said["exception.stacktrace"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_values_of_every_shape_stay_legal(backend: Backend, dialect: str) -> None:
    client = tracespool.Client(otlp_endpoint=backend.url, dialect=dialect)
    odd = [None, "", "\ud800", "\x00", 1, 2**70, -1.5, float("inf"), True, b"\xff", [], {}, [[]], {"": ""}, "[", '{"a":', {"role": "user"}]
    odd += [[{"role": "user", "content": value}] for value in ("", None, [], [1], {"a": 1}, [{"type": "text"}])]
    kinds = ["span", "generation", "event", "embedding", "agent", "tool", "chain", "retriever", "evaluator", "guardrail"]
    for kind in kinds:
        for value in odd:
            span = client.start_observation(name=kind, as_type=kind, input=value, output=value, metadata={"k": value, "": 1, "k.é": 2})
            span.update(model=value, usage_details={"input": 1, "x": value, "": 2}, cost_details={"total": value}, metadata=value)
            span.update(model_parameters={"stop": value, "seed": value, "x": value}, status_message=value, version=value)
            span.update(completion_start_time=datetime.now(timezone(timedelta(hours=2))), level="WARNING", prompt={"name": "p", "version": 2})
            span.end()
    delivered(client, len(kinds) * len(odd))


def test_a_repeated_field_replaces_and_metadata_merges(backend: Backend) -> None:
    client = tracespool.Client(otlp_endpoint=backend.url, dialect="openinference")
    with client.start_as_current_observation(name="g", as_type="generation", metadata={"a": 1, "b": {"c": 2}}) as g:
        for turn in range(100):
            g.update(input=[{"role": "user", "content": f"turn {turn}"}] * (100 - turn), usage_details={"input": turn})
        g.update(metadata={"a": "two"}, output="last")
    delivered(client, 1)
    said = attributes(backend.named("g").attributes)
    assert said["llm.input_messages.0.message.content"] == "turn 99" and "llm.input_messages.1.message.role" not in said
    assert said["llm.token_count.prompt"] == 99
    assert json.loads(said["metadata"]) == {"a": "two", "b": {"c": 2}}


def test_values_are_taken_by_the_call_and_masked(backend: Backend) -> None:
    client = tracespool.Client(otlp_endpoint=backend.url, mask=lambda data: str(data).replace("secret", "***"))
    value = {"text": "a secret"}
    span = client.start_observation(name="t", as_type="tool", input=value)
    value["text"] = "changed"
    span.end()
    delivered(client, 1)
    said = attributes(backend.named("t").attributes)["gen_ai.tool.call.arguments"]
    assert "***" in said and "changed" not in said


def test_service_name_and_headers_are_the_clients_own(backend: Backend) -> None:
    one = tracespool.Client(otlp_endpoint=backend.url, headers={"authorization": "Bearer one"}, service_name="shop")
    two = tracespool.Client(otlp_endpoint=backend.url, headers={"authorization": "Bearer two"})
    for client in (one, two, one):
        client.start_observation(name="s").end()
    delivered(one, 2)
    delivered(two, 1)
    by_token = {received.headers["authorization"]: received.request for received in backend.requests}
    services = {
        token: attributes(request.resource_spans[0].resource.attributes)["service.name"] for token, request in by_token.items()
    }
    assert services == {"Bearer one": "shop", "Bearer two": "unknown_service:python"}
    assert "Bearer" not in repr(one) + str(tracespool.stats())


def test_scores_are_counted_and_told_once(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    client = Langfuse(otlp_endpoint=backend.url)
    before = tracespool.stats()["scores"]["dropped"].get("unsupported", 0)
    with caplog.at_level(logging.WARNING, "tracespool"):
        with client.start_as_current_observation(name="s") as span:
            span.score(name="good", value=1.0)
            client.score_current_trace(name="good", value=True)
        client.create_score(name="good", value="yes", trace_id=span.trace_id)
        delivered(client, 1)
    (line,) = [record.getMessage() for record in caplog.records if "scores" in record.getMessage()]
    assert "need a Langfuse server" in line and "public_key" in line
    assert tracespool.stats()["scores"]["dropped"]["unsupported"] - before == 3
    assert len(backend.requests) == 1
    assert client.get_trace_url(trace_id=span.trace_id) is None


def test_auth_check_asks_with_an_empty_request(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    client = tracespool.Client(otlp_endpoint=backend.url, headers={"x-key": "k"})
    assert client.auth_check()
    (received,) = backend.requests
    assert received.headers["x-key"] == "k" and backend.spans() == []
    for status, mend in ((401, "headers="), (404, "whole address"), (500, "500")):
        backend.status = status
        with caplog.at_level(logging.WARNING, "tracespool"):
            assert not client.auth_check()
        assert mend in caplog.records[-1].getMessage()


def test_bad_arguments_are_told_and_nothing_is_raised(caplog: pytest.LogCaptureFixture) -> None:
    for arguments, mend in [
        ({"otlp_endpoint": "localhost:6006"}, "otlp_endpoint must start with http"),
        ({"otlp_endpoint": "http://user:sesame@h"}, "pass headers instead"),
        ({"otlp_endpoint": "http://127.0.0.1:9", "dialect": "otel"}, "none of langfuse, openinference, gen_ai"),
        ({"otlp_endpoint": "http://127.0.0.1:9", "headers": {"x": 1}}, "headers holds what is no str"),
        ({"otlp_endpoint": "http://127.0.0.1:9", "headers": {"x": "sesame\r\n"}}, "CR, LF"),
        ({"public_key": "pk", "secret_key": "sk", "base_url": "http://127.0.0.1:9", "dialect": "gen_ai"}, "without otlp_endpoint"),
    ]:  # fmt: skip
        caplog.clear()
        with caplog.at_level(logging.WARNING, "tracespool"):
            client = tracespool.Client(**arguments)
        text = " ".join(record.getMessage() for record in caplog.records)
        assert mend in text and "sesame" not in text, text
        client.start_observation(name="x").end()
    tracespool.cleanup_all_clients(timeout=0.0)


PROGRAM = """
import tracespool
import tracespool.errors
@tracespool.observe()
def work(x):
    return x
work(1)
client = tracespool.get_client()
print(client.otlp_endpoint, client.dialect)
work(2)
print(tracespool.stats()["clients"])
"""


def test_an_endpoint_in_the_environment_serves_a_program_that_names_nothing(backend: Backend, tmp_path: Path) -> None:
    said = {
        "TRACESPOOL_OTLP_ENDPOINT": backend.url,
        "TRACESPOOL_OTLP_HEADERS": "x-key=from%20env",
        "TRACESPOOL_DIALECT": "openinference",
        "OTEL_SERVICE_NAME": "nightly",
    }
    # With Langfuse's keys in the environment too: tracespool's own variable is the more explicit one.
    for environ in (environment("http://127.0.0.1:9", **said), {**environment("", **said), "LANGFUSE_PUBLIC_KEY": ""}):
        backend.requests.clear()
        ended = Program(tmp_path, PROGRAM).run(environ)
        assert ended.code == 0 and ended.err == "", ended
        assert ended.lines() == [f"{backend.url}/v1/traces openinference", "1"]
        assert [attributes(span.attributes)["input.value"] for span in backend.spans()] == ['{"args":[1],"kwargs":{}}', '{"args":[2],"kwargs":{}}']
        assert backend.requests[0].headers["x-key"] == "from env"
        resource = backend.requests[0].request.resource_spans[0].resource
        assert attributes(resource.attributes)["service.name"] == "nightly"


def test_clients_are_found_and_cleaned_up_by_address_or_name(backend: Backend) -> None:
    client = tracespool.Client(otlp_endpoint=backend.url)
    named = tracespool.Client(otlp_endpoint=backend.url, public_key="tenant-7")
    assert client.public_key == f"{backend.url}/v1/traces" and named.public_key == "tenant-7"
    assert tracespool.get_client(public_key=client.public_key).otlp_endpoint == client.otlp_endpoint
    named.start_observation(name="named").end()
    client.start_observation(name="plain").end()
    report = tracespool.cleanup_client("tenant-7", timeout=10.0)
    assert [part["delivered"] for part in report["destinations"]] == [1] and [span.name for span in backend.spans()] == ["named"]
    assert tracespool.cleanup_client(client.public_key, timeout=10.0)["delivered"] == 1
    # A handle that is used again brings its destination back.
    client.start_observation(name="again").end()
    delivered(client, 1)


FORK = """
import os
import tracespool
import tracespool.errors
client = tracespool.Client(otlp_endpoint=os.environ["BACKEND"], dialect="openinference", service_name="forks")
client.start_observation(name="parent").end()
child = os.fork()
if child == 0:
    client.start_observation(name="child", as_type="tool", input="x").end()
    assert client.flush(10.0)["delivered"] == 1
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def test_the_child_of_a_fork_sends_in_the_same_dialect(backend: Backend, tmp_path: Path) -> None:
    ended = Program(tmp_path, FORK).run(environment("", BACKEND=backend.url))
    assert ended.code == 0, ended
    assert sorted(span.name for span in backend.spans()) == ["child", "parent"]
    for received in backend.requests:
        resource = received.request.resource_spans[0]
        assert resource.scope_spans[0].scope.name == "tracespool"
        assert attributes(resource.resource.attributes)["service.name"] == "forks"
    assert attributes(backend.named("child").attributes)["openinference.span.kind"] == "TOOL"


def test_another_sdks_endpoint_gets_nothing_unasked(backend: Backend, tmp_path: Path) -> None:
    environ = environment("http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=backend.url, TRACESPOOL_ATEXIT="0")
    ended = Program(tmp_path, PROGRAM).run(environ)
    assert ended.lines()[0] == "None langfuse" and backend.requests == []
    environ |= {"TRACESPOOL_DIALECT": "gen_ai", "OTEL_EXPORTER_OTLP_HEADERS": "k=v", "TRACESPOOL_ATEXIT": "1"}
    ended = Program(tmp_path, PROGRAM).run(environ)
    assert ended.lines()[0] == f"{backend.url}/v1/traces gen_ai", ended
    assert len(backend.spans()) == 2 and backend.requests[0].headers["k"] == "v"


def test_the_documented_example_runs(backend: Backend) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "examples.otlp", backend.url, "x-mlflow-experiment-id=0"]
    done = subprocess.run(command, cwd=root, env=environment(""), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and f"delivered 12 observations to {backend.url}/v1/traces" in done.stdout, done
    assert {received.headers["x-mlflow-experiment-id"] for received in backend.requests} == {"0"}
    resource = backend.requests[-1].request.resource_spans[0].resource
    assert attributes(resource.attributes)["service.name"] == "support-desk"


PICTURE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"


def test_what_only_langfuse_has_is_refused_and_nothing_of_it_is_asked(backend: Backend) -> None:
    client = Langfuse(otlp_endpoint=backend.url, dialect="openinference", headers={"X-Key": "vendor"})
    with pytest.raises(tracespool.errors.Error, match="prompts need a Langfuse server"):
        client.get_prompt("p")
    with pytest.raises(tracespool.errors.Error, match="prompts need a Langfuse server"):
        client.create_prompt(name="p", prompt="text")
    assert client.get_prompt("p", fallback="mine").prompt == "mine"
    with pytest.raises(AttributeError, match="needs a Langfuse server"):
        client.api  # noqa: B018
    reference = "@@@langfuseMedia:type=image/png|id=abc|source=bytes@@@"
    assert client.resolve_media_references(obj=reference) == reference
    client.start_observation(name="seen", input={"url": PICTURE}).end()
    delivered(client, 1)
    assert PICTURE in str(backend.named("seen")), "no server would give it back"
    assert [received.path for received in backend.requests] == ["/v1/traces"]


def test_a_shutdown_closes_no_other_client_of_the_host(backend: Backend) -> None:
    one, other = (tracespool.Client(otlp_endpoint=f"{backend.url}/{tenant}/v1/traces") for tenant in "ab")
    other.start_observation(name="kept").end()
    one.shutdown(0.0)
    delivered(other, 1)
