"""Waiting for a flush or an answer without blocking an event loop: the ticket is polled with the running library's own sleep."""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event
    from typing import Any

    from tracespool._native import Ticket
    from tracespool._stage import Stage

_SHORTEST = 0.001
_LONGEST = 0.02
_GRACE = 0.03


async def wait(ticket: Ticket, timeout: float) -> dict[str, Any]:
    """Waits until the flush is done or `timeout` seconds are over; the report says which."""
    sleep = _sleeper()
    # The core answers at its own deadline with the whole truth; this one is for when it does not.
    deadline = time.monotonic() + max(0.0, timeout) + _GRACE
    pause = _SHORTEST
    while (report := ticket.poll()) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            return ticket.report()
        await sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST)
    return report


async def drained(stage: Stage, timeout: float) -> float:
    """Waits until a client's own mask or exporter has passed everything on; returns what is left of the time."""
    deadline = time.monotonic() + max(0.0, timeout)
    return await _over([stage.begin_drain(deadline)], deadline)


async def all_drained(timeout: float) -> float:
    """`drained` for the masks and exporters of every client that has some."""
    stages = sys.modules.get("tracespool._stage")
    if stages is None:
        return timeout
    deadline = time.monotonic() + max(0.0, timeout)
    return await _over(stages.begin_drain_all(deadline), deadline)


async def _over(events: list[Event], deadline: float) -> float:
    sleep = _sleeper()
    for over in events:
        while not over.is_set() and (left := deadline - time.monotonic()) > 0:
            await sleep(min(_LONGEST, left))
    return max(0.0, deadline - time.monotonic())


async def arrival(poll: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """Waits for what `poll` brings, which is something by its own deadline."""
    answer = poll()
    if answer is not None:
        return answer
    sleep, pause = _sleeper(), _SHORTEST
    while answer is None:
        await sleep(pause)
        pause = min(pause * 1.5, _LONGEST)
        answer = poll()
    return answer


def _sleeper() -> Any:
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            pass
        else:
            return trio.sleep
    import asyncio

    return asyncio.sleep
