"""Runs flows as Langflow's server runs them: its graph, its tracing service, its Langfuse tracer. Argument: how many.

The model is LangChain's fake one, so that no server of models is needed; nothing of Langflow's is replaced. Prints one line
of JSON: threads and memory before the first measured flow and after the last.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import uuid
from contextlib import suppress
from pathlib import Path

FLOWS, WARM = int(sys.argv[1]), int(sys.argv[2])


def tasks() -> list[str]:
    """The names of the process's threads, of all languages, but those that end meanwhile."""
    found = []
    for task in os.listdir("/proc/self/task"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append(Path(f"/proc/self/task/{task}/comm").read_text().strip())
    return sorted(found)


def names() -> list[str]:
    """The names of Python's threads."""
    return sorted(thread.name for thread in threading.enumerate())


def resident() -> float:
    """MiB of memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langflow.services.tracing.factory import TracingServiceFactory
from lfx.base.models.model import LCModelComponent
from lfx.components.input_output import ChatInput, ChatOutput
from lfx.graph import Graph
from lfx.services.manager import get_service_manager


class Model(LCModelComponent):
    """A model component, as the bundled ones are written."""

    display_name = "Model"
    name = "Model"
    inputs = [*LCModelComponent._base_inputs]

    def build_model(self):
        usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
        answer = AIMessage(content=f"answer to {self.input_value.text}", usage_metadata=usage)
        return GenericFakeChatModel(messages=iter([answer]))


async def flow(number: int, prefix: str) -> None:
    """One run, begun and ended as the `run` endpoint does it."""
    question = ChatInput(_id=f"ChatInput-{number}")
    question.set(should_store_message=False)
    model = Model(_id=f"Model-{number}")
    model.set(input_value=question.message_response)
    answer = ChatOutput(_id=f"ChatOutput-{number}")
    answer.set(input_value=model.text_response, should_store_message=False)
    graph = Graph(question, answer, flow_id=str(uuid.uuid4()), flow_name=f"{prefix} {number}", user_id=f"user-{number % 10}")
    graph.tracing_user_id = f"label-{number}"
    graph.set_run_id()
    outputs = await graph.arun([{"input_value": f"question {number}"}], session_id=f"session-{number}", outputs=["Chat Output"])
    assert outputs[0].outputs[0].results["message"].text == f"answer to question {number}", outputs
    await asyncio.gather(*graph._end_trace_tasks)


async def main() -> None:
    for number in range(WARM):
        await flow(number, "warm")
    before: dict[str, object] = {"tasks": tasks(), "resident": resident(), "threads": names()}
    for number in range(FLOWS):
        await flow(number, "flow")
        if number == FLOWS // 2:
            before["half"] = resident()
    print(json.dumps({**before, "tasks_after": tasks(), "resident_after": resident(), "threads_after": names()}))


get_service_manager().register_factory(TracingServiceFactory())
asyncio.run(main())
