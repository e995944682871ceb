"""A limit on memory that costs no request: tracing gives way first, then the worker finishes its requests and is replaced.

    guard = Guard(soft_mb=800, hard_mb=1200)
    app = ASGIGuard(app, guard)       # or WSGIGuard(app, guard)

Above `soft_mb` no new trace is recorded and what tracing has pending is sent and given back. Above `hard_mb` the worker
asks its server to end gracefully; gunicorn, `uvicorn --workers` or the orchestrator start another.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import threading
import time

from tracespool import _native
from tracespool.ops.memory import MB, rss_bytes, trim
from tracespool.ops.request_memory import Closing

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_log = logging.getLogger("tracespool.ops")

_RELIEF = 30.0
"""Seconds between two attempts to give memory back while above the soft limit: each collects the whole garbage."""
_BACK = 0.95
"""The soft limit is left below this share of it, so that memory that wavers around it does not switch at each request."""


class Guard:
    """Compares the RSS with two limits (MB), at most once in `interval` seconds, when a request begins or ends.

    - `soft_mb`: new traces are shed, whoever begins them, and counted as dropped with the reason `shed`; those under way are
      recorded to their end (`tracespool.set_admission(soft_share)`). Pending data is sent, the garbage collected and free memory
      given back (every 30 s at most). `on_soft(True)`, and `on_soft(False)` when the memory is back, let the application
      shed load of its own. Back means 5 % below the limit; then the admission is what it was.
    - `soft_share`: the share of new traces that are recorded even so, 0 by default.
    - `hard_mb`: calls `recycle` once. Without one, the process sends itself SIGTERM, provided that a server handles it:
      uvicorn and gunicorn stop accepting, finish the requests under way and exit (`graceful_timeout` of gunicorn and
      `timeout_graceful_shutdown` of uvicorn bound that: set them above your longest request). See `stop_uvicorn` and
      `stop_gunicorn` for a `recycle` without a signal.
    - `min_uptime`: seconds in which a process is never recycled: with a limit below what it needs at start it would never
      serve anything.
    - `jitter`: lowers the hard limit by up to this share, at random for each process, lest all workers go at once.
    """

    def __init__(
        self,
        *,
        soft_mb: float,
        hard_mb: float,
        soft_share: float = 0.0,
        recycle: Callable[[], object] | None = None,
        on_soft: Callable[[bool], object] | None = None,
        interval: float = 1.0,
        min_uptime: float = 60.0,
        jitter: float = 0.05,
    ) -> None:
        if not 0 < soft_mb < hard_mb:
            raise ValueError(f"soft_mb={soft_mb} must be above 0 and below hard_mb={hard_mb}")
        if not 0 <= soft_share <= 1:
            raise ValueError(f"soft_share={soft_share} must be from 0 to 1")
        self.soft_mb = soft_mb
        self.soft_share = soft_share
        self.hard_mb = hard_mb
        self._recycle = recycle if recycle is not None else stop_by_sigterm
        self._on_soft = on_soft
        self._interval = interval
        self._min_uptime = min_uptime
        self._jitter = jitter
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._due = self._relief_due = 0.0
        self._early = False
        # Its own generator: the application's may be seeded alike in every worker.
        self._hard_bytes = self.hard_mb * MB * (1.0 - self._jitter * random.SystemRandom().random())
        self.state = "ok"
        """`ok`, `soft`, or `recycling`, which is never left."""
        self.limited = 0
        """Requests that began above the soft limit."""
        # Admission before the soft limit, and as it was set then. A forked child's is its own.
        self._admission: tuple[float, float] | None = None

    def check(self) -> str:
        """The state, after a look at the memory where one is due."""
        if self._pid != os.getpid():
            self._begin()
        now = time.monotonic()
        with self._lock:
            if now < self._due or self.state == "recycling":
                return self.state
            self._due = now + self._interval
            before, rss = self.state, rss_bytes()
            early = False
            if rss >= self._hard_bytes and now - self._began >= self._min_uptime:
                self.state = "recycling"
            elif rss >= self.soft_mb * MB * (_BACK if before == "soft" else 1.0):
                self.state = "soft"
                early = rss >= self._hard_bytes and not self._early
                self._early = self._early or early
            else:
                self.state = "ok"
            state = self.state
            self._admit(state)
            relieve = state == "soft" and now >= self._relief_due
            if relieve:
                self._relief_due = now + _RELIEF
        if state != before:
            self._changed(before, state, rss)
        if early:
            _log.error(
                "rss %.0f MB is above the hard limit of %g MB in the first %g s of pid %d: it is not recycled yet; "
                "the limit may be too low",
                rss / MB, self.hard_mb, self._min_uptime, self._pid,
            )  # fmt: skip
        if relieve:
            self._relieve()
        return state

    def begin(self) -> None:
        """A request begins: looks at the memory before it is traced."""
        if self.check() != "ok":
            self.limited += 1

    def _admit(self, state: str) -> None:
        """Sheds new traces above the soft limit, and sets back what was. Below the lock, so that the last word is the state's."""
        if state != "ok" and self._admission is None:
            before = _native.admission()
            now = min(before, self.soft_share)
            _native.set_admission(now)
            self._admission = (before, _native.admission())
        elif state == "ok" and self._admission is not None:
            (before, set_), self._admission = self._admission, None
            if _native.admission() == set_:  # else somebody has decided otherwise meanwhile
                _native.set_admission(before)

    def _changed(self, before: str, state: str, rss: int) -> None:
        limit, mb, pid = self.hard_mb if state == "recycling" else self.soft_mb, rss / MB, self._pid
        if state == "soft":
            _log.warning("rss %.0f MB is above the soft limit of %g MB: new traces are shed (pid %d)", mb, limit, pid)
        elif state == "ok":
            _log.info("rss %.0f MB is below the soft limit of %g MB: new traces are recorded again (pid %d)", mb, limit, pid)
        else:
            _log.warning("rss %.0f MB is above the hard limit of %g MB: pid %d finishes its requests and ends", mb, limit, pid)
        if self._on_soft is not None and (before == "ok") != (state == "ok"):
            try:
                self._on_soft(state != "ok")
            except Exception:
                _log.warning("on_soft failed", exc_info=True)
        if state == "recycling":
            try:
                self._recycle()
            except Exception:
                _log.error("the worker could not be recycled and goes on", exc_info=True)

    def _relieve(self) -> None:
        _native.begin_flush_all(5.0)  # nobody waits for it
        before = rss_bytes()
        gc.collect()
        trim()
        after = rss_bytes()
        _log.info(
            "gave memory back: rss before %.1f MB, after %.1f MB, delta %+.1f MB",
            before / MB, after / MB, (after - before) / MB,
        )  # fmt: skip


class ASGIGuard:
    """ASGI middleware: HTTP requests and WebSockets go through `guard`."""

    def __init__(self, app: Any, guard: Guard) -> None:
        self.app = app
        self.guard = guard

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        self.guard.begin()
        try:
            await self.app(scope, receive, send)
        finally:
            self.guard.check()


class WSGIGuard:
    """WSGI middleware."""

    def __init__(self, app: Callable[..., Iterable[bytes]], guard: Guard) -> None:
        self.app = app
        self.guard = guard

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.guard.begin()
        return Closing(self.app(environ, start_response), self.guard.check)


def stop_by_sigterm() -> None:
    """SIGTERM to this process, where something handles it. Nothing would end requests under way gracefully elsewhere: the
    signal is not sent then, and RuntimeError says so.
    """
    handler: Any = signal.getsignal(signal.SIGTERM)
    while getattr(handler, "__module__", None) == "tracespool._lifecycle" and handler.__closure__:
        handler = handler.__closure__[0].cell_contents  # TRACESPOOL_SIGTERM: what it goes on to
    if handler in (None, signal.SIG_DFL, signal.SIG_IGN):
        raise RuntimeError("no server of this process handles SIGTERM; give Guard a `recycle` that ends it gracefully")
    os.kill(os.getpid(), signal.SIGTERM)


def stop_uvicorn(server: Any) -> Callable[[], None]:
    """A `recycle` for a `uvicorn.Server` that the program runs itself."""

    def recycle() -> None:
        server.should_exit = True

    return recycle


def stop_gunicorn(worker: Any) -> Callable[[], None]:
    """A `recycle` for a gunicorn worker, as `post_worker_init(worker)` has it. As with `max_requests`, it leaves its loop
    after the requests under way.
    """

    def recycle() -> None:
        worker.alive = False

    return recycle
