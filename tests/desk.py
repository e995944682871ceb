"""What the OTLP tests trace: the example agent (a search, a tool, a streamed answer) and a tool that fails."""

from __future__ import annotations

import asyncio

import tracespool
from examples.agent import knowledge
from examples.agent.answer import answer

QUESTION = knowledge.question(1)
# The agent's own four, and the failing tool.
OBSERVATIONS = 5


def trace(client: tracespool.Client) -> None:
    """Runs both, once."""
    asyncio.run(answer(client, tracespool.propagate_attributes, "ann", QUESTION))
    try:
        with client.start_as_current_observation(name="charge", as_type="tool", input={"order": 7}):
            raise ValueError("card declined")
    except ValueError:
        pass
