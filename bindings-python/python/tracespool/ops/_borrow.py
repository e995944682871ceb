"""A loan of a `Restartable`'s resource, and what lenders and borrowers share."""

from __future__ import annotations

import threading
import time

from tracespool.ops import _home

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from tracespool.ops._supervised import Supervised

SHORTEST = 0.001
LONGEST = 0.02
"""Seconds between two looks of somebody who waits: loops and threads of any kind wait for each other here."""

OPENING, OPEN, DRAINING, CLOSED = "opening", "open", "draining", "closed"


class Unavailable(RuntimeError):
    """The resource could not be opened, or not in time. `__cause__` is what its `open` raised, if it raised."""


class Generation:
    """One resource from its opening to its close, and who has borrowed it."""

    __slots__ = ("borrowers", "borrows", "error", "finished", "job", "late", "leave", "phase", "resource")

    def __init__(self, leave: Any) -> None:
        self.borrowers = 0
        self.borrows = 0
        self.error: BaseException | None = None
        self.finished = False
        self.job: _home.Job | None = None
        self.late = False
        self.leave = leave
        self.phase = OPENING
        self.resource: Any = None


class Request:
    """What the supervisor is asked for: `open` (where nothing is open), `restart` or `close`."""

    __slots__ = ("done", "error", "kind")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.done = threading.Event()
        self.error: BaseException | None = None


class Borrow:
    """A loan of the resource: for one `with` or `async with` at a time."""

    __slots__ = ("_generation", "_of")

    def __init__(self, of: Supervised) -> None:
        self._of = of
        self._generation: Generation | None = None

    async def __aenter__(self) -> Any:
        of = self._of
        generation = of._take()
        if generation is None:
            home = _home.current()
            of._settle(home)
            deadline, pause = time.monotonic() + of._patience(), SHORTEST
            request = of._ask("open")
            while (generation := of._take()) is None:
                if request.done.is_set():
                    of._tell(request)
                    of._settle(home)
                    request = of._ask("open")
                of._still_home(request)
                if time.monotonic() >= deadline:
                    raise Unavailable(f"{of.name} is still {of.state} after {of._patience():.0f} s")
                await home.sleep(pause)
                pause = min(pause * 1.5, LONGEST)
        self._generation = generation
        return generation.resource

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._end()

    def __enter__(self) -> Any:
        of = self._of
        generation = of._take()
        if generation is None:
            if _home.inside():
                raise RuntimeError(f"{of.name} is {of.state}; in a task, `async with` waits for it without blocking")
            deadline = time.monotonic() + of._patience()
            request = of._ask("open")
            while (generation := of._take()) is None:
                if request.done.wait(LONGEST):
                    of._tell(request)
                    if (generation := of._take()) is not None:
                        break
                    request = of._ask("open")
                of._still_home(request)
                if time.monotonic() >= deadline:
                    raise Unavailable(f"{of.name} is still {of.state} after {of._patience():.0f} s")
        self._generation = generation
        return generation.resource

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        generation, self._generation = self._generation, None
        if generation is not None:
            self._of._give_back(generation)
