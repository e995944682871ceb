"""Arize Phoenix shows an agent's trace in its own fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import desk
import pytest
from server import Server, free_port, post, until

import tracespool

QUERY = """query { projects { edges { node { name spans(first: 100) { edges { node {
  name spanKind statusCode statusMessage parentId tokenCountTotal tokenCountPrompt tokenCountCompletion metadata attributes
  input { value mimeType } output { value mimeType } events { name message } trace { traceId session { sessionId } }
} } } } } } }"""


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("phoenix")
    port = free_port()
    environ = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    server = Server("phoenix", folder, port, "/healthz", ["phoenix", "serve"], **environ)
    yield server
    server.stop()


def spans(phoenix: Server, project: str) -> dict[str, dict[str, Any]]:
    """A project's spans by name, from Phoenix's GraphQL."""
    answer = post(f"{phoenix.url}/graphql", {"query": QUERY})
    assert "errors" not in answer, answer
    found = [edge["node"] for edge in answer["data"]["projects"]["edges"] if edge["node"]["name"] == project]
    return {edge["node"]["name"]: edge["node"] for node in found for edge in node["spans"]["edges"]}


@pytest.mark.parametrize("dialect", ["openinference", "gen_ai"])
def test_kinds_contents_model_and_tokens(phoenix: Server, dialect: str) -> None:
    # The header names the project.
    client = tracespool.Client(otlp_endpoint=phoenix.url, dialect=dialect, headers={"x-project-name": f"desk-{dialect}"})
    assert client.auth_check()
    desk.trace(client)
    report = client.flush(20.0)
    assert report["complete"] and report["delivered"] == desk.OBSERVATIONS, report
    found = until(lambda: spans(phoenix, f"desk-{dialect}"), lambda found: len(found) == desk.OBSERVATIONS)

    kinds = {name: span["spanKind"] for name, span in found.items()}
    assert kinds == {"answer": "agent", "search": "retriever", "price": "tool", "write": "llm", "charge": "tool"}
    assert {span["trace"]["traceId"] for name, span in found.items() if name != "charge"} == {found["answer"]["trace"]["traceId"]}
    assert found["answer"]["trace"]["session"]["sessionId"] == "ann-today"

    write = found["write"]
    fields = json.loads(write["attributes"])
    assert fields["llm"]["model_name"] == "demo-model-1"
    assert fields["llm"]["token_count"]["prompt"] == write["tokenCountPrompt"] > 0
    assert write["tokenCountTotal"] == write["tokenCountPrompt"] + write["tokenCountCompletion"]
    asked = [message["message"] for message in fields["llm"]["input_messages"]]
    assert [message["role"] for message in asked] == ["system", "user"]
    assert desk.QUESTION in json.dumps(asked[1])
    answered = fields["llm"]["output_messages"][0]["message"]
    assert answered["role"] == "assistant" and len(json.dumps(answered)) > 100
    assert json.loads(fields["llm"]["invocation_parameters"])["max_tokens"] == 256

    failed = found["charge"]
    assert (failed["statusCode"], failed["statusMessage"]) == ("ERROR", "ValueError: card declined")
    assert [(event["name"], event["message"]) for event in failed["events"]] == [("exception", "card declined")]
    price = json.loads(found["price"]["attributes"])
    assert price["tool"]["name"] == "price"
    # Phoenix keeps an agent's `gen_ai.input.messages` among the attributes.
    assert desk.QUESTION in (found["answer"]["input"]["value"] if dialect == "openinference" else found["answer"]["attributes"])
    assert json.loads(found["price"]["output"]["value"])["currency"] == "EUR"
    if dialect == "openinference":
        assert (found["answer"]["input"]["mimeType"], found["search"]["input"]["mimeType"]) == ("json", "text")
        assert json.loads(found["search"]["metadata"]) == {"shelf": 60}
        documents = json.loads(found["search"]["attributes"])["retrieval"]["documents"]
        assert len(documents) == 3 and documents[0]["document"]["id"].startswith("doc-")
        assert fields["user"]["id"] == "ann"
