"""A long-lived resource that can be replaced while the service runs: an MCP session, a browser, a pool of connections.

    browser = Restartable(open_browser, close_browser, name="browser", restart_after=500)

    async with browser.borrow() as it:      # opens at the first borrow
        await it.goto(url)
    await browser.restart()                 # from any task, loop or thread

The old resource is released before the new one is made, so memory never holds both. One task of its own opens and closes
each: cancel scopes and task groups (anyio, trio) must be left by the task that entered them, which the caller of a
restart never is.
"""

from __future__ import annotations

import contextlib
import time

from tracespool.ops import _home
from tracespool.ops._borrow import Borrow, Unavailable
from tracespool.ops._supervised import Supervised

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

__all__ = ["Restartable", "Unavailable"]


class Restartable(Supervised):
    """Opens a resource at the first borrow, lends it, and replaces it on request.

    - `open`: makes and returns the resource; a function or a coroutine function. Without `close` it returns an
      asynchronous context manager, which is entered and left.
    - `close`: takes the resource. One that raises, or takes longer than `close_deadline`, is logged and counted
      (`close_failures`); it is cancelled then, and left behind (`abandoned`) where it does not end even so.
    - `borrow_deadline`: seconds that a restart waits for those who have borrowed the old resource. Afterwards it is closed
      under them and they are counted as `overstayed`. A borrower that awaits a restart waits for itself: call
      `request_restart` there.
    - `open_deadline`: seconds for `open`; a borrower waits that long in addition to what a running restart takes.
    - `restart_after`: restarts after so many borrows; None: only on request.

    After each close the garbage is collected and free memory given back (`trim=False` leaves that out), and one line of
    INFO on the logger `tracespool.ops` says the RSS before, after and the difference. It works in asyncio (with anyio or
    without) and in trio. The loop of the first borrow is its home; other loops and threads may borrow and ask as well, if
    the resource itself can be used there.
    """

    def __init__(
        self,
        open: Callable[[], Any],
        close: Callable[[Any], Any] | None = None,
        *,
        name: str,
        borrow_deadline: float = 30.0,
        open_deadline: float = 30.0,
        close_deadline: float = 10.0,
        restart_after: int | None = None,
        trim: bool = True,
    ) -> None:
        super().__init__(name)
        self._open = open
        self._close = close
        self._borrow_deadline = borrow_deadline
        self._open_deadline = open_deadline
        self._close_deadline = close_deadline
        self._restart_after = restart_after
        self._trim = trim

    # What applications call.

    @property
    def borrowers(self) -> int:
        """Who has it now."""
        generation = self._generation
        return 0 if generation is None else generation.borrowers

    def borrow(self) -> Borrow:
        """`async with` in a task, `with` in a thread: the resource, opened where it is not. Raises `Unavailable`.

        A thread can borrow once a task has started this (`start`, `async with`, or a borrow).
        """
        return Borrow(self)

    async def start(self) -> None:
        """Opens it now, in the running loop, instead of at the first borrow. Raises `Unavailable`."""
        self._here()
        self._settle(_home.current())
        await self._answered(self._ask("open"))

    async def restart(self) -> None:
        """Replaces the resource and returns when the new one is open. Raises `Unavailable` where it cannot be opened; the
        next borrow tries again. Requests that arrive before the new one is being made share one restart.
        """
        self._here()
        self._settle(_home.current())
        await self._answered(self._ask("restart"))

    def restart_sync(self, timeout: float | None = None) -> None:
        """`restart` for threads. TimeoutError after `timeout` seconds (the restart goes on). Never in a loop's own thread."""
        if _home.inside():
            raise RuntimeError(f"{self.name}: restart_sync would block the event loop; await restart() there")
        self._here()
        request = self._ask("restart")
        deadline = None if timeout is None else time.monotonic() + timeout
        while not request.done.wait(0.05):
            self._still_home(request)
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"{self.name} is not restarted after {timeout} s; it is still being done")
        self._tell(request)

    def request_restart(self) -> None:
        """Asks for a restart and returns at once, from anywhere. Nothing happens where nothing is open."""
        self._here()
        if self._generation is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended, and the resource with it
                self._ask("restart")

    async def aclose(self) -> None:
        """Waits for borrowers, closes the resource and ends the tasks. A later borrow opens it again."""
        self._here()
        if self._home is None or not self._home.alive():
            return
        await self._answered(self._ask("close"))

    async def __aenter__(self) -> Restartable:
        await self.start()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def stats(self) -> dict[str, Any]:
        """Counters, for a monitor or a page."""
        return {
            "state": self.state,
            "borrowers": self.borrowers,
            "restarts": self.restarts,
            "overstayed": self.overstayed,
            "close_failures": self.close_failures,
            "abandoned": self.abandoned,
        }
