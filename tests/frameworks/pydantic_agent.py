"""pydantic-ai with its own instrumentation, which Langfuse documents, and its test model. On a provider of the client's, or
with the argument `global` on the global one, without a word of OpenTelemetry.
"""

from __future__ import annotations

import sys

from langfuse import Langfuse, propagate_attributes
from opentelemetry.sdk.trace import TracerProvider
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.test import TestModel

if sys.argv[1:] == ["global"]:
    client = Langfuse()
    Agent.instrument_all()
else:
    provider = TracerProvider()
    client = Langfuse(tracer_provider=provider)
    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))
agent = Agent(TestModel(custom_output_text="Rome"), name="geographer")


@agent.tool_plain
def country() -> str:
    return "Italy"


with propagate_attributes(user_id="u-1", session_id="s-1"):
    print(agent.run_sync("capital?").output)
client.flush()
