"""LiteLLM's `langfuse` callback, unchanged, with the keys of 50 teams.

LiteLLM sends these spans itself: a tracer provider and a batch processor, with its thread, for each key. Of the langfuse
package it takes attribute names, the REST client and the prompt classes, which under `install()` come from or through us.
"""

from __future__ import annotations

import json
import sys

import pytest
from environments import needs, run
from program import PUBLIC_KEY

pytestmark = [
    needs("litellm", "test-langflow"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the tasks of /proc"),
]

TEAMS, EACH = 50, 4
_SETTINGS = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it asks the network for prices
    "MAX_LANGFUSE_INITIALIZED_CLIENTS": str(TEAMS + 1),  # its own limit is 50, and the environment's keys take one
}


def _teams(receiver, folder, *, ours: bool) -> dict:
    ended = run("litellm", receiver.url, folder, "litellm_teams.py", str(TEAMS), str(EACH), ours=ours, **_SETTINGS)
    assert ended.code == 0, ended.err
    told = json.loads(ended.lines()[-1])
    assert told["flushed"] and told["langfuse"] == ("tracespool.langfuse" if ours else "langfuse")
    for team in range(TEAMS):
        rows = receiver.all_observations(f"pk-team-{team}")
        assert sorted(row["name"] for row in rows) == [f"team {team} number {number}" for number in range(EACH)]
        for row in rows:
            assert (row["type"], row["user"], row["session"]) == ("generation", f"user-{team}", f"session-{team}")
            assert f"to team {team}" in row["output"] and row["usage"]["total"] > 0
    assert receiver.whole() == (TEAMS * EACH, 0, 0, 0), "and nothing anywhere else"
    return told


def test_fifty_teams(receiver, tmp_path):
    told = _teams(receiver, tmp_path, ours=True)
    own = [name for name in told["threads_after"] if name == "OtelBatchSpanRecordProcessor"]
    assert len(own) == TEAMS + 1, "one of LiteLLM's for each key and for the environment's"
    assert sorted(set(told["threads_after"])) == ["MainThread", "OtelBatchSpanRecordProcessor"]
    assert told["exporters"] == 0 and told["tasks_after"] == len(told["threads_after"]), "none of ours, none of langfuse's"


def test_as_many_threads_without_us(receiver, tmp_path):
    """With the langfuse package alone: what the other test counts is LiteLLM's."""
    told = _teams(receiver, tmp_path, ours=False)
    assert told["tasks_after"] == len(told["threads_after"]) == TEAMS + 2


def test_prompts(receiver, tmp_path):
    ended = run("litellm", receiver.url, tmp_path, "litellm_prompt.py", **_SETTINGS)
    assert (ended.code, ended.out) == (0, "Hello tracespool.langfuse.model\n"), ended.err
    [row] = receiver.all_observations(PUBLIC_KEY)
    assert "Greet Ann" in row["input"] and "and Bob" in row["input"]
    assert (row["prompt_name"], row["prompt_version"]) == ("greeting", 1)
