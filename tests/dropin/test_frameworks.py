"""A framework of others, unchanged: Haystack with its langfuse integration."""

from __future__ import annotations

from pathlib import Path

import pytest
from program import PUBLIC_KEY, environment
from test_install import run

_INSTALLED = Path(__file__).resolve().parents[2] / ".venv" / "frameworks"
pytestmark = pytest.mark.skipif(not _INSTALLED.is_dir(), reason="needs 100 MB more: `make test-dropin`")

HAYSTACK = """
import threading
from haystack import Pipeline, component
from haystack.components.builders import ChatPromptBuilder
from haystack.dataclasses import ChatMessage
from haystack_integrations.components.connectors.langfuse import LangfuseConnector


@component
class OpenAIChatGenerator:  # the integration looks for generators by this name
    @component.output_types(replies=list[ChatMessage])
    def run(self, messages: list[ChatMessage]):
        usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        return {"replies": [ChatMessage.from_assistant("Rome", meta={"model": "m-1", "usage": usage})]}


pipeline = Pipeline()
pipeline.add_component("tracer", LangfuseConnector("geography", public=True))
pipeline.add_component("prompt", ChatPromptBuilder(template=[ChatMessage.from_user("capital of {{c}}?")], required_variables=["c"]))
pipeline.add_component("llm", OpenAIChatGenerator())
pipeline.connect("prompt.prompt", "llm.messages")
result = pipeline.run({"prompt": {"c": "Italy"}, "tracer": {}})
assert result["tracer"]["trace_id"] in result["tracer"]["trace_url"]
print(result["llm"]["replies"][0].text, threading.active_count())
"""


def test_haystack(receiver, tmp_path):
    script = tmp_path / "app.py"
    script.write_text(HAYSTACK)
    env = environment(receiver.url, PYTHONPATH=str(_INSTALLED), HAYSTACK_CONTENT_TRACING_ENABLED="true", HAYSTACK_TELEMETRY_ENABLED="False")
    ended = run("-m", "tracespool.langfuse", "run", str(script), env=env)
    assert (ended.code, ended.out) == (0, "Rome 1\n"), ended.err
    rows = receiver.observations(PUBLIC_KEY)
    assert {row["name"]: row["type"] for row in rows.values()} == {"geography": "span", "tracer": "span", "prompt": "span", "llm": "generation"}
    root = rows["geography"]
    assert root["public"] == 1 and all(row["parent"] == root["span_id"] for row in rows.values() if row is not root)
    assert (rows["llm"]["model"], rows["llm"]["usage"]) == ("m-1", {"input": 3, "output": 1, "total": 4})
    assert rows["llm"]["output"] == '[{"role":"assistant","content":"Rome"}]'
