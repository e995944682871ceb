"""MLflow shows an agent's trace in its own fields."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import desk
import pytest
from server import Server, free_port, until

import tracespool

CREATE = """
import json, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
print(json.dumps(mlflow.create_experiment(sys.argv[2])))
"""

READ = """
import json, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
traces = mlflow.MlflowClient().search_traces(experiment_ids=[sys.argv[2]])
print(json.dumps([{
    "state": str(trace.info.state),
    "tokens": trace.info.token_usage,
    "spans": [{
        "name": span.name, "type": span.span_type, "inputs": span.inputs, "outputs": span.outputs, "parent": span.parent_id,
        "status": str(span.status.status_code), "description": span.status.description,
        "events": [event.name for event in span.events], "attributes": span.attributes,
    } for span in trace.data.spans],
} for trace in traces], default=str))
"""


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    command = [
        "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    server = Server("mlflow", folder, port, "/health", command, MLFLOW_DISABLE_TELEMETRY="true")
    yield server
    server.stop()


@pytest.mark.parametrize("dialect", ["openinference", "gen_ai"])
def test_types_contents_model_and_tokens(mlflow: Server, dialect: str) -> None:
    experiment = mlflow.run(CREATE, mlflow.url, f"desk-{dialect}")
    client = tracespool.Client(otlp_endpoint=mlflow.url, dialect=dialect, headers={"x-mlflow-experiment-id": experiment})
    assert client.auth_check()
    desk.trace(client)
    report = client.flush(20.0)
    assert report["complete"] and report["delivered"] == desk.OBSERVATIONS, report

    def read() -> dict[str, dict[str, Any]]:
        traces = mlflow.run(READ, mlflow.url, experiment)
        return {span["name"]: {**span, "trace": trace} for trace in traces for span in trace["spans"]}

    found = until(read, lambda found: len(found) == desk.OBSERVATIONS)
    types = {name: span["type"] for name, span in found.items()}
    if dialect == "openinference":
        assert types == {"answer": "AGENT", "search": "RETRIEVER", "price": "TOOL", "write": "LLM", "charge": "TOOL"}
    else:
        # MLflow does not know the convention's `retrieval` yet.
        assert types == {"answer": "AGENT", "search": None, "price": "TOOL", "write": "CHAT_MODEL", "charge": "TOOL"}

    write = found["write"]
    assert write["attributes"]["mlflow.llm.model"] == "demo-model-1"
    usage = write["attributes"]["mlflow.chat.tokenUsage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
    assert [message["role"] for message in write["inputs"]] == ["system", "user"]
    assert desk.QUESTION in json.dumps(write["inputs"][1])
    assert "assistant" in json.dumps(write["outputs"])
    assert desk.QUESTION in json.dumps(found["answer"]["inputs"])
    assert found["price"]["outputs"]["currency"] == "EUR"

    failed = found["charge"]
    assert failed["inputs"] == {"order": 7}
    assert (failed["status"].split(".")[-1], failed["description"]) == ("ERROR", "ValueError: card declined")
    assert failed["events"] == ["exception"]
    assert failed["trace"]["state"].split(".")[-1] == "ERROR"
    assert found["answer"]["trace"]["tokens"]["total_tokens"] == usage["total_tokens"]
    if dialect == "openinference":
        assert found["search"]["inputs"] == desk.QUESTION
        assert len(found["search"]["outputs"]) == 3


def test_without_its_header_auth_check_names_the_mend(mlflow: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tracespool"):
        assert not tracespool.Client(otlp_endpoint=mlflow.url).auth_check()
    assert "headers=" in caplog.records[-1].getMessage()
