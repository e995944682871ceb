"""LlamaIndex, pydantic-ai and the OpenAI Agents SDK by OpenTelemetry, each beside the langfuse package."""

from __future__ import annotations

import pytest
from environments import needs, run
from program import PUBLIC_KEY
from receiver import Receiver

pytestmark = needs("agents", "test-langflow")

_SETTINGS = {"OPENBLAS_NUM_THREADS": "1", "OPENAI_AGENTS_DISABLE_TRACING": "0", "OPENAI_API_KEY": "none"}


def _rows(receiver: Receiver) -> list[tuple]:
    """What was stored, without ids and times, in an order of its own."""
    rows = receiver.all_observations(PUBLIC_KEY)
    names = {row["span_id"]: row["name"] for row in rows}
    return sorted(
        (
            row["name"],
            row["type"],
            names.get(row["parent"]) or "",
            row["user"] or "",
            row["session"] or "",
            row["is_app_root"],
            str(row["model"]),
            str(sorted((row["usage"] or {}).items())),
            len(row["input"] or ""),
            len(row["output"] or ""),
        )
        for row in rows
    )


@pytest.fixture
def other(tmp_path):
    """A second collector: what the langfuse package sends."""
    collector = Receiver(tmp_path / "other")
    try:
        yield collector
    finally:
        collector.stop()


def _both(receiver, other, folder, program: str, out: str, *arguments: str, **more: str) -> list[tuple]:
    for target, ours in ((receiver, True), (other, False)):
        ended = run("agents", target.url, folder, program, *arguments, ours=ours, **_SETTINGS, **more)
        assert (ended.code, ended.out) == (0, out), ended.err
    rows = _rows(receiver)
    assert rows == _rows(other)
    sent = {row["sdk"]["name"] for row in receiver.all_observations(PUBLIC_KEY)}
    assert sent == {"tracespool"} and {row["sdk"]["name"] for row in other.all_observations(PUBLIC_KEY)} == {"python"}
    return rows


def test_llamaindex(receiver, other, tmp_path):
    rows = _both(receiver, other, tmp_path, "llamaindex_query.py", "text text text text text\n")
    kinds = {name: kind for name, kind, *_ in rows}
    assert kinds["question"] == "agent" and kinds["RetrieverQueryEngine.query"] == "chain"
    assert kinds["VectorIndexRetriever.retrieve"] == "retriever" and kinds["MockLLM.predict"] == "generation"
    parents = {name: parent for name, _, parent, *_ in rows}
    assert parents["RetrieverQueryEngine.query"] == "question", "one trace of observations and spans"
    assert {row[3:5] for row in rows if row[0].startswith(("Retriever", "MockLLM"))} == {("u-1", "s-1")}


@pytest.mark.parametrize("arguments", [(), ("global",)], ids=["own", "global"])
def test_pydantic_ai(receiver, other, tmp_path, arguments):
    asked = {"TRACESPOOL_GLOBAL_PROVIDER": "1"} if arguments else {}
    rows = _both(receiver, other, tmp_path, "pydantic_agent.py", "Rome\n", *arguments, **asked)
    assert [row[:3] for row in rows] == [
        ("chat test", "generation", "geographer run"),
        ("chat test", "generation", "geographer run"),
        ("country", "tool", "geographer run"),
        ("geographer run", "agent", ""),
    ]
    assert {row[3:5] for row in rows} == {("u-1", "s-1")}


def test_openai_agents(receiver, other, tmp_path):
    rows = _both(receiver, other, tmp_path, "openai_agent.py", "Rome\n")
    assert {row[:2] for row in rows} >= {("geographer", "agent"), ("country", "tool"), ("turn", "chain")}
    assert {row[3:5] for row in rows} == {("u-1", "s-1")}
