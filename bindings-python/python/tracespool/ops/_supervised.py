"""The tasks behind a `Restartable`: a supervisor that does everything in turn, and an owner for each resource."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import threading
import time
from collections import deque

from tracespool.ops import _home
from tracespool.ops._borrow import CLOSED, DRAINING, LONGEST, OPEN, SHORTEST, Generation, Request, Unavailable
from tracespool.ops.memory import MB, rss_bytes, trim

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_log = logging.getLogger("tracespool.ops")

_GRACE = 1.0
"""Seconds that a cancelled open or close has to end, before its task is left to itself."""
_RETRY = 1.0
"""Seconds after a failed open in which borrowers are told of that failure instead of opening again."""


class Supervised:
    """What `Restartable` does out of sight. `_requests` come from anywhere, below `_lock`; the rest happens in the tasks."""

    _open: Callable[[], Any]
    _close: Callable[[Any], Any] | None
    _borrow_deadline: float
    _open_deadline: float
    _close_deadline: float
    _restart_after: int | None
    _trim: bool

    def __init__(self, name: str) -> None:
        self.name = name
        self.restarts = 0
        """Closes that were followed by another open."""
        self.close_failures = 0
        self.abandoned = 0
        self.overstayed = 0
        self.last_restart: dict[str, Any] | None = None
        """Of the last close: `rss_before_mb`, `rss_after_mb`, `delta_mb`, `seconds`, `overstayed`, `reason`."""
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._home: _home.Asyncio | _home.Trio | None = None
        self._supervisor: _home.Job | None = None
        self._wake: Any = None
        self._requests: deque[Request] = deque()
        self._generation: Generation | None = None
        self._failed: tuple[float, BaseException] | None = None
        self._replaced = False

    def _here(self) -> None:
        """The child of a fork begins with nothing open: the resource and its loop are the parent's, and its lock may have
        been held during the fork.
        """
        if self._pid != os.getpid():
            self._begin()

    @property
    def state(self) -> str:
        """`closed`, `opening`, `open` or `draining`."""
        generation = self._generation
        return CLOSED if generation is None else generation.phase

    # Borrowers.

    def _take(self) -> Generation | None:
        self._here()
        with self._lock:
            generation = self._generation
            if generation is None or generation.phase != OPEN:
                return None
            generation.borrowers += 1
            generation.borrows += 1
            return generation

    def _give_back(self, generation: Generation) -> None:
        self._here()
        with self._lock:
            generation.borrowers -= 1
            due = (
                self._restart_after is not None
                and generation.borrows >= self._restart_after
                and generation.phase == OPEN
                and generation is self._generation
            )
        if due:
            with contextlib.suppress(RuntimeError):  # its loop has ended, and the resource with it
                self._ask("restart")

    def _patience(self) -> float:
        """Seconds after which a borrower gives up: everything that can come before the new resource is open."""
        return self._borrow_deadline + self._close_deadline + self._open_deadline + 3 * _GRACE

    # Between askers and the supervisor.

    def _settle(self, home: _home.Asyncio | _home.Trio) -> None:
        """Makes `home` the loop of the tasks, unless there is one."""
        with self._lock:
            if self._home is not None and self._home.alive() and self._supervisor is not None:
                return
            self._home = home
            self._generation = None
            self._requests.clear()
            self._failed = None
            self._wake = home.event()
            self._supervisor = home.spawn(self._supervise, f"{self.name} supervisor")

    def _ask(self, kind: str) -> Request:
        request = Request(kind)
        with self._lock:
            if self._home is None or self._supervisor is None:
                if kind == "close":
                    request.done.set()
                    return request
                raise RuntimeError(f"{self.name} has no event loop: start or borrow it in a task first")
            if kind == "restart":
                for waiting in self._requests:
                    if waiting.kind == kind:
                        return waiting
            try:
                self._home.soon(self._rouse)
            except RuntimeError as error:
                raise Unavailable(f"the event loop of {self.name} has ended") from error
            self._requests.append(request)
        return request

    def _rouse(self) -> None:
        self._wake.set()

    async def _answered(self, request: Request) -> None:
        sleep, pause = _home.current().sleep, SHORTEST
        deadline = time.monotonic() + 2 * self._patience()  # one restart may be under way already
        while not request.done.is_set():
            if time.monotonic() >= deadline:
                raise Unavailable(f"{self.name} is still {self.state}: its event loop does not run")
            await sleep(pause)
            pause = min(pause * 1.5, LONGEST)
            self._still_home(request)
        self._tell(request)

    def _still_home(self, request: Request) -> None:
        home = self._home
        if not request.done.is_set() and (home is None or not home.alive()):
            raise Unavailable(f"the event loop of {self.name} has ended")

    def _tell(self, request: Request) -> None:
        if request.error is not None:
            raise Unavailable(f"{self.name} could not be opened: {_brief(request.error)}") from request.error

    # The supervisor: one task, which does everything in turn.

    async def _supervise(self) -> None:
        home = self._home
        assert home is not None
        ended: BaseException | None = None
        try:
            while True:
                await self._wake.wait()
                self._wake = home.event()
                if await self._work(home):
                    return
        except BaseException as error:
            ended = error
            self._leave_at_once()
            raise
        finally:
            with self._lock:
                self._supervisor = None
                left = list(self._requests)
                self._requests.clear()
            for request in left:
                request.error = None if request.kind == "close" else ended or RuntimeError("it was closed")
                request.done.set()

    async def _work(self, home: _home.Asyncio | _home.Trio) -> bool:
        """Does what is asked for; whether that was to end."""
        while True:
            requests = self._next()
            generation = self._generation
            if not requests:
                if generation is not None and generation.finished:
                    await self._shut(home, generation, "it ended by itself")
                return False
            kinds = {request.kind for request in requests}
            reason = "close" if "close" in kinds else "restart" if "restart" in kinds else None
            try:
                if generation is not None and generation.finished:
                    reason = reason or "it ended by itself"
                if generation is not None and reason is not None:
                    await self._shut(home, generation, reason)
                    requests += self._next()  # who asked meanwhile gets the new one
                    if any(request.kind == "close" for request in requests):
                        reason = "close"
                if reason != "close" and self._generation is None:
                    await self._make(home)
                self._finish(requests, None)
            except Exception as error:
                self._finish(requests, error)
            except BaseException as error:
                self._finish(requests, error)
                raise
            if reason == "close":
                return True

    def _next(self) -> list[Request]:
        with self._lock:
            requests = list(self._requests)
            self._requests.clear()
        return requests

    def _finish(self, requests: list[Request], error: BaseException | None) -> None:
        for request in requests:
            request.error = error
            request.done.set()

    async def _make(self, home: _home.Asyncio | _home.Trio) -> None:
        failed = self._failed
        if failed is not None and time.monotonic() - failed[0] < _RETRY:
            raise failed[1].with_traceback(None)
        generation = Generation(home.event())
        self._generation = generation
        generation.job = home.spawn(lambda: self._own(generation, home.cancelled), self.name, shield=True)
        opened = await _until(
            home, lambda: generation.phase == OPEN or generation.finished, self._open_deadline
        )
        if opened and generation.phase == OPEN:
            self._failed = None
            if self._replaced:
                self.restarts += 1
                _log.info("%s opened again: rss %.1f MB", self.name, rss_bytes() / MB)
            return
        error = generation.error or TimeoutError(f"open took longer than {self._open_deadline} s")
        generation.leave.set()
        generation.job.cancel()
        if not await _until(home, lambda: generation.finished, _GRACE):
            self._abandon(generation)
        self._generation = None
        self._failed = (time.monotonic(), error.with_traceback(None))
        raise error

    async def _shut(self, home: _home.Asyncio | _home.Trio, generation: Generation, reason: str) -> None:
        began, before = time.monotonic(), rss_bytes()
        with self._lock:
            if not generation.finished:
                generation.phase = DRAINING
        overstayed = 0
        if not generation.finished:
            # One that has ended by itself is of no use to anybody: nobody is waited for.
            await _until(home, lambda: generation.borrowers == 0 or generation.finished, self._borrow_deadline)
            overstayed = generation.borrowers
        self.overstayed += overstayed
        generation.leave.set()
        job = generation.job
        if not await _until(home, lambda: generation.finished, self._close_deadline):
            self.close_failures += 1
            generation.late = True
            _log.warning("%s: close took longer than %s s and is cancelled", self.name, self._close_deadline)
            if job is not None:
                job.cancel()
            if not await _until(home, lambda: generation.finished, _GRACE):
                self._abandon(generation)
        with self._lock:
            generation.resource = None
            generation.job = None
            self._generation = None
        self._replaced = True
        del generation, job
        gc.collect()
        if self._trim:
            trim()
        after = rss_bytes()
        self.last_restart = {
            "reason": reason,
            "rss_before_mb": round(before / MB, 1),
            "rss_after_mb": round(after / MB, 1),
            "delta_mb": round((after - before) / MB, 1),
            "seconds": round(time.monotonic() - began, 3),
            "overstayed": overstayed,
        }
        _log.info(
            "%s closed (%s): rss before %.1f MB, after %.1f MB, delta %+.1f MB; %.2f s, %d borrowers overstayed",
            self.name, reason, before / MB, after / MB, (after - before) / MB, time.monotonic() - began, overstayed,
        )  # fmt: skip

    def _abandon(self, generation: Generation) -> None:
        self.abandoned += 1
        _log.error(
            "%s: its task does not end after being cancelled and is left behind (%d so far)", self.name, self.abandoned
        )

    def _leave_at_once(self) -> None:
        """The loop ends: the owner closes its resource, for as long as a close may take."""
        generation = self._generation
        if generation is not None and not generation.finished and generation.job is not None:
            generation.phase = DRAINING
            generation.leave.set()
            generation.job.cancel_later(self._close_deadline)
        self._generation = None

    # The owner: one task for each resource, which opens and closes it.

    async def _own(self, generation: Generation, cancelled: type[BaseException]) -> None:
        made = False
        try:
            resource = await _result(self._open())
            if self._close is None:
                manager, resource = resource, await resource.__aenter__()
            made = True
            with self._lock:
                if not generation.leave.is_set():
                    generation.resource = resource
                    generation.phase = OPEN
            try:
                await generation.leave.wait()
            except cancelled:
                # A task group inside has failed and cancels the task that entered it, or the loop ends.
                if not generation.leave.is_set():
                    _log.info("%s: its task was cancelled from inside; closing it", self.name)
            generation.phase = DRAINING
            if self._close is None:
                await manager.__aexit__(None, None, None)
            else:
                await _result(self._close(resource))
        except cancelled as error:
            if made and not generation.late:
                self._close_failed(error)
            elif not made:
                generation.error = TimeoutError("open was cancelled")
        except Exception as error:
            if made:
                self._close_failed(error)
            else:
                generation.error = error
        finally:
            generation.resource = resource = manager = None
            generation.finished = True
            self._rouse()

    def _close_failed(self, error: BaseException) -> None:
        self.close_failures += 1
        # No traceback in the record: handlers keep records, and its frames would keep the resource.
        _log.warning("%s: close failed: %s", self.name, _brief(error))


async def _result(value: Any) -> Any:
    return await value if hasattr(value, "__await__") else value


async def _until(home: _home.Asyncio | _home.Trio, condition: Callable[[], bool], seconds: float) -> bool:
    """Waits until `condition` holds, for `seconds` at most; whether it does."""
    deadline, pause = time.monotonic() + seconds, SHORTEST
    while not condition():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        await home.sleep(min(pause, left))
        pause = min(pause * 1.5, LONGEST)
    return True


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]
