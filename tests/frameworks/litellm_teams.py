"""Completions of many teams, each with Langfuse keys of its own, through LiteLLM's `langfuse` callback.

The parameters of a request are those that LiteLLM's proxy adds where a team has logging settings. Arguments: teams, and
completions of each. Prints one line of JSON: threads before the first and after the last.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import litellm
from litellm.integrations.langfuse.langfuse_sdk import flush_langfuse_tracing
from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER
from litellm.litellm_core_utils.thread_pool_executor import executor

TEAMS, EACH = int(sys.argv[1]), int(sys.argv[2])
BASE_URL = os.environ["LANGFUSE_BASE_URL"]
litellm.success_callback = ["langfuse"]


def names() -> list[str]:
    """The names of Python's threads."""
    return sorted(thread.name for thread in threading.enumerate())


async def completion(team: int, number: int) -> None:
    """One request of a team."""
    answer = await litellm.acompletion(
        model="openai/gpt-4o-mini",
        messages=[{"role": "user", "content": f"question {number} of team {team}"}],
        mock_response=f"answer {number} to team {team}",
        metadata={"generation_name": f"team {team} number {number}", "trace_user_id": f"user-{team}", "session_id": f"session-{team}"},
        langfuse_public_key=f"pk-team-{team}",
        langfuse_secret_key=f"sk-team-{team}",
        langfuse_host=BASE_URL,
    )
    assert answer.choices[0].message.content == f"answer {number} to team {team}"


async def main() -> None:
    for number in range(EACH):
        await asyncio.gather(*(completion(team, number) for team in range(TEAMS)))
    await asyncio.wait_for(GLOBAL_LOGGING_WORKER.flush(), 60)


def tasks() -> list[str]:
    """The names of the process's threads, of all languages, but those that end meanwhile."""
    found = []
    for task in os.listdir("/proc/self/task"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append(Path(f"/proc/self/task/{task}/comm").read_text().strip())
    return found


before = {"threads": names(), "tasks": len(tasks())}
asyncio.run(main())
executor.shutdown(wait=True)  # LiteLLM runs callbacks of this kind there
flushed = flush_langfuse_tracing(30_000)
for thread in threading.enumerate():
    if thread.name == "langfuse-flush":  # done, and on its way out
        thread.join(10)
deadline = time.monotonic() + 10
while len(tasks()) > len(names()) + tasks().count("tracespool") and time.monotonic() < deadline:
    time.sleep(0.05)  # a thread that Python has joined may have a moment to live
told = {"threads_after": names(), "tasks_after": len(tasks()), "flushed": flushed, "exporters": tasks().count("tracespool")}
print(json.dumps({**before, **told, "langfuse": sys.modules["langfuse"].__name__}))
