"""What each request and each task of the services does: a generation with a score. `TRACED=off` does the same untraced."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

TRACED = os.environ.get("TRACED", "on") == "on"

_MESSAGES = [{"role": "system", "content": "Answer from the documents alone. " * 8}, {"role": "user", "content": "x" * 400}]

if TRACED:
    from tracespool import Client

    client: Any = Client()
else:
    client = None


class _Untraced:
    def update(self, **_: Any) -> None:
        return None

    def score(self, **_: Any) -> None:
        return None


def _generation(number: int) -> AbstractContextManager[Any]:
    if client is None:
        return nullcontext(_Untraced())
    given = {"number": number, "messages": _MESSAGES}
    return client.start_as_current_observation(name="answer", as_type="generation", model="demo", input=given)


def work(number: int) -> dict[str, int]:
    """The process that did it; `time.sleep` is gevent's where gevent has patched it."""
    with _generation(number) as generation:
        time.sleep(0.002)
        generation.update(output="y" * 400, usage_details={"input": 120, "output": 100})
        generation.score(name="worth", value=1.0)
    return {"pid": os.getpid()}


async def awork(number: int) -> dict[str, int]:
    """The same for asyncio."""
    import asyncio

    with _generation(number) as generation:
        await asyncio.sleep(0.002)
        generation.update(output="y" * 400, usage_details={"input": 120, "output": 100})
        generation.score(name="worth", value=1.0)
    return {"pid": os.getpid()}
