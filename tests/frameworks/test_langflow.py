"""Langflow's Langfuse tracer, unchanged: 1,000 flows through its graph, tracing service and tracer."""

from __future__ import annotations

import json
import os
import sys

import pytest
from environments import needs, run
from program import PUBLIC_KEY

pytestmark = [
    needs("langflow", "test-langflow"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the tasks of /proc"),
]

# The flow itself, its three components and the model's call.
OBSERVATIONS = 5
_GROWTH = 32.0  # MiB: one destination's 16 MiB, and as much for the allocator

_SETTINGS = {"DO_NOT_TRACK": "true", "OPENBLAS_NUM_THREADS": "1"}


def _flows(receiver, folder, flows: int, warm: int, *, ours: bool = True, timeout: float = 600) -> dict:
    ended = run(
        "langflow",
        receiver.url,
        folder,
        "langflow_flows.py",
        str(flows),
        str(warm),
        ours=ours,
        timeout=timeout,
        LANGFLOW_CONFIG_DIR=str(folder),
        **_SETTINGS,
    )
    assert ended.code == 0, ended.err
    return json.loads(ended.lines()[-1])


def _own(names: list[str]) -> list[str]:
    """Python's threads but those of the event loop's executor, which Langflow fills as it needs."""
    return [name for name in names if not name.startswith("asyncio_")]


def test_a_thousand_flows(receiver, tmp_path):
    flows, warm = int(os.environ.get("TRACESPOOL_FLOWS", "1000")), 100
    told = _flows(receiver, tmp_path, flows, warm, timeout=1500)
    print(json.dumps(told))
    assert _own(told["threads_after"]) == _own(told["threads"]) == ["MainThread"]
    assert told["tasks"].count("tracespool") <= 1 and told["tasks_after"].count("tracespool") <= 1
    pool = len(told["threads_after"]) - len(told["threads"])
    exporter = told["tasks_after"].count("tracespool") - told["tasks"].count("tracespool")
    assert len(told["tasks_after"]) - len(told["tasks"]) == pool + exporter, "no thread but the executor's and our one"
    assert told["resident_after"] - told["resident"] < _GROWTH
    assert receiver.whole(PUBLIC_KEY) == (OBSERVATIONS * (flows + warm), 0, 0, 0)
    assert receiver.counts(PUBLIC_KEY)["traces"] == flows + warm


def _read(value: object) -> object:
    """A metadata value: what was sent as JSON text, read, since the two write it with and without spaces."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _rows(receiver) -> list[dict]:
    """What was stored, without what differs from run to run."""
    rows = receiver.all_observations(PUBLIC_KEY)
    names = {row["span_id"]: row["name"] for row in rows}
    times = ("start_time", "end_time", "time_elapsed", "flow_id")
    kept = [
        {key: row[key] for key in ("name", "type", "user", "session", "tags", "trace_name", "usage", "level")}
        | {"parent": names.get(row["parent"]), "metadata": {k: _read(v) for k, v in row["metadata"].items() if k not in times}}
        for row in rows
    ]
    return sorted(kept, key=lambda row: json.dumps(row, sort_keys=True))


def test_what_is_stored(receiver, tmp_path):
    _flows(receiver, tmp_path, 3, 0)
    rows = receiver.all_observations(PUBLIC_KEY)
    assert len({row["trace_id"] for row in rows}) == 3
    for number in range(3):
        [root] = [row for row in rows if row["name"] == f"flow {number}"]
        below = [row for row in rows if row["trace_id"] == root["trace_id"] and row is not root]
        assert sorted((row["name"], row["type"]) for row in below) == [
            ("Chat Input", "span"),
            ("Chat Output", "span"),
            ("Model", "generation"),
            ("Model", "span"),
        ]
        assert root["parent"] is None and {row["parent"] for row in below} == {root["span_id"]}
        assert (root["user"], root["session"], root["trace_name"]) == (f"user-{number}", f"session-{number}", f"flow {number}")
        assert root["metadata"]["flow_name"] == f"flow {number}" and root["metadata"]["flow_id"]
        assert root["metadata"]["langflow.tracing_user_id"] == f"label-{number}"
        # What the tracer says of the trace is said of its root: servers of these days read no other.
        assert json.loads(root["input"]) == {"input": f"question {number}"}
        assert json.loads(root["output"]) == {"output": f"answer to question {number}"}
        [call] = [row for row in below if row["type"] == "generation"]
        assert json.loads(call["input"]) == [{"role": "user", "content": f"question {number}"}]
        assert call["usage"] == {"input": 3, "output": 2, "total": 5}
        [model] = [row for row in below if row["name"] == "Model" and row["type"] == "span"]
        assert (model["metadata"]["component_id"], model["metadata"]["trace_type"]) == (f"Model-{number}", "llm")
        assert f"answer to question {number}" in model["output"]


def test_the_same_as_with_the_langfuse_it_pins(receiver, tmp_path):
    """Langflow asks for langfuse 3.8 or later of 3; names, types, parents, users, sessions, metadata and usage agree."""
    _flows(receiver, tmp_path, 3, 0)
    ours = _rows(receiver)
    receiver.stop()
    (tmp_path / "theirs").mkdir()
    from receiver import Receiver

    other = Receiver(tmp_path / "theirs" / "collector")
    try:
        told = _flows(other, tmp_path, 3, 0, ours=False)
        assert "OtelBatchSpanRecordProcessor" in told["threads_after"], "this was langfuse"
        assert len(_own(told["threads_after"])) == 1 + 4, "and its threads"
        assert _rows(other) == ours
    finally:
        other.stop()


def test_feedback(receiver, tmp_path):
    ended = run("langflow", receiver.url, tmp_path, "langflow_feedback.py", LANGFLOW_CONFIG_DIR=str(tmp_path), **_SETTINGS)
    assert ended.code == 0, ended.err
    scores = {score["id"]: score for score in receiver.scores(PUBLIC_KEY)}
    assert sorted(scores) == [f"{number:032x}" for number in (1, 2)]
    for score in scores.values():
        assert (score["name"], score["value"], score["data_type"], score["comment"]) == ("user-feedback", 1.0, "BOOLEAN", "positive")
        assert score["trace_id"] == f"{7:032x}" and score["metadata"]["session_id"] == "s-1"
    # The removal is a call of the installed langfuse package's; the collector, which removes no scores, has answered it.
    module, status = ended.lines()[-1].split()
    assert module.startswith("tracespool.langfuse._installed.api") and status in ("404", "405")
