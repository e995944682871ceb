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


async def drained(begin: Callable[[float], list[Event]], timeout: float) -> float:
    """Waits until clients' own masks or exporters have passed everything on; returns what is left of the time."""
    deadline = time.monotonic() + max(0.0, timeout)
    sleep = _sleeper()
    over = begin(deadline)
    while not all(done.is_set() for done in over) and (left := deadline - time.monotonic()) > 0:
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


def trio() -> Any:
    """The module where trio runs the calling task, else `None`."""
    module = sys.modules.get("trio")
    if module is not None:
        try:
            module.lowlevel.current_task()
        except RuntimeError:
            return None
    return module


def _sleeper() -> Any:
    running = trio()
    if running is not None:
        return running.sleep
    import asyncio

    return asyncio.sleep
