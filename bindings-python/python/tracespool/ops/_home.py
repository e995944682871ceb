"""Where the tasks of a `Restartable` live: an asyncio event loop or a trio run, under one face of six calls."""

from __future__ import annotations

import contextvars
import logging

from tracespool import _waiting

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

_log = logging.getLogger("tracespool.ops")


def current() -> Asyncio | Trio:
    """The library that runs the calling task. RuntimeError outside of one."""
    running = _waiting.trio()
    return Trio(running) if running is not None else Asyncio()


def inside() -> bool:
    """Whether the calling thread runs a task now, and so must not block."""
    try:
        current()
    except RuntimeError:
        return False
    return True


class Asyncio:
    """An asyncio event loop (uvloop's, too)."""

    def __init__(self) -> None:
        import asyncio

        self.loop = asyncio.get_running_loop()
        self.cancelled: type[BaseException] = asyncio.CancelledError
        self.event: Callable[[], Any] = asyncio.Event
        self.sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep

    def alive(self) -> bool:
        return not self.loop.is_closed()

    def soon(self, call: Callable[[], object]) -> None:
        """Runs `call` in the loop, from any thread. RuntimeError when the loop has ended."""
        self.loop.call_soon_threadsafe(call)

    def spawn(self, run: Callable[[], Coroutine[Any, Any, None]], name: str, *, shield: bool = False) -> Job:
        # An empty context: whoever happens to be first must not become the parent of what the resource traces.
        task = contextvars.Context().run(lambda: self.loop.create_task(run(), name=name))
        return Job(task.cancel, lambda seconds: self.loop.call_later(seconds, task.cancel), task)


class Trio:
    """A run of trio. Tasks are system tasks: they outlive whichever nursery asked for them, and end with the run."""

    def __init__(self, trio: Any) -> None:
        self._trio = trio
        self.token = trio.lowlevel.current_trio_token()
        self.cancelled: type[BaseException] = trio.Cancelled
        self.event: Callable[[], Any] = trio.Event
        self.sleep: Callable[[float], Awaitable[Any]] = trio.sleep

    def alive(self) -> bool:
        try:
            self.token.run_sync_soon(_nothing, idempotent=True)
        except self._trio.RunFinishedError:
            return False
        return True

    def soon(self, call: Callable[[], object]) -> None:
        """Runs `call` in the run, from any thread. RuntimeError when it has ended."""
        self.token.run_sync_soon(call)

    def spawn(self, run: Callable[[], Coroutine[Any, Any, None]], name: str, *, shield: bool = False) -> Job:
        trio = self._trio
        # It encloses everything that `run` enters, so that a deadline can be set later without breaking the nesting.
        scope = trio.CancelScope(shield=shield)

        async def scoped() -> None:
            with scope:
                await run()

        async def contained() -> None:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(scoped, name=name)
            except Exception as error:
                # A close that was given up has left scopes or nurseries open; trio ends them with ours and complains. A
                # complaint that left a system task would end the whole run.
                text = str(error).partition("\n")[0][:200]
                _log.warning("%s: its task ended with scopes that were never left: %s", name, text)

        def later(seconds: float) -> None:
            scope.deadline = trio.current_time() + seconds

        task = trio.lowlevel.spawn_system_task(contained, name=name, context=contextvars.Context())
        return Job(scope.cancel, later, task)


class Job:
    """A task that was started: how to cancel it, now or in some seconds. Calls come from its own loop."""

    __slots__ = ("_task", "cancel", "cancel_later")

    def __init__(self, cancel: Callable[[], object], cancel_later: Callable[[float], object], task: object) -> None:
        self.cancel = cancel
        self.cancel_later = cancel_later
        self._task = task  # asyncio keeps only a weak reference


def _nothing() -> None:
    pass
