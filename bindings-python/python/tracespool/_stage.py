"""Where a client's `mask_otel_spans` and `span_exporter` run: one thread for all clients, which exists only where one of
these is set, begins with the first span and ends after 30 s without work.

What waits is bounded by the byte budgets of its destination, which a held span goes on to use. A function that does not
come back is left behind after 30 s: its client's spans are then given up, those of others go on on another thread.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tracespool._native import Held

    _Entry = tuple[Held, Any]

_log = logging.getLogger("tracespool")

BATCH = 512
"""Spans of one call at most: what OpenTelemetry's SDKs use."""
LINGER = 0.2
"""Seconds that spans wait for company."""
IDLE = 30.0
"""Seconds without work after which the thread ends."""
STUCK = 30.0
"""Seconds after which a call counts as one that does not come back."""
MAX_STUCK = 4
"""Threads that may be left behind; beyond, the remaining one waits."""


_exporting: weakref.WeakSet[Stage] = weakref.WeakSet()


class Stage:
    """One client's mask and exporter, and what waits for them."""

    def __init__(self, mask: Any, exporter: Any, public_key: str) -> None:
        self.mask = mask
        self.exporter = exporter
        self.public_key = public_key
        self.waiting: deque[_Entry] = deque()
        self.running = 0
        self.stuck = False
        self.delivered = 0
        self.dropped = 0
        self.jobs: deque[Callable[[], None]] = deque()
        if exporter is not None:
            _exporting.add(self)

    def take(self, held: Held, span: Any = None) -> None:
        """Takes a finished span; never waits. `span` is another tracer's."""
        if self.stuck:
            self.give_up([(held, span)])
            return
        self.waiting.append((held, span))
        _thread.wake(self, full=len(self.waiting) >= BATCH)

    def drain(self, timeout: float) -> tuple[int, int, int]:
        """Waits until all that was taken has passed, for `timeout` seconds at most. Returns what the exporter has delivered
        and what was dropped meanwhile, and what still waits."""
        deadline = time.monotonic() + max(0.0, timeout)
        delivered, dropped = self.delivered, self.dropped
        _wait(self.begin_drain(deadline), deadline)
        return self.delivered - delivered, self.dropped - dropped, len(self.waiting) + self.running

    def begin_drain(self, deadline: float, last: bool = False) -> threading.Event:
        """Asks for it and returns at once. The exporter is flushed too, within the same deadline; and shut down at last."""
        done = threading.Event()
        if self.stuck or (self.exporter is None and self.idle()):
            done.set()
            return done

        def finish() -> None:
            try:
                flush = getattr(self.exporter, "force_flush", None)
                if flush is not None:
                    flush(max(0, int((deadline - time.monotonic()) * 1000)))
                if last and self.exporter is not None:
                    self.exporter.shutdown()
            except Exception:
                _log.warning("span_exporter: force_flush or shutdown failed", exc_info=True)
            finally:
                done.set()

        self.jobs.append(finish)
        _thread.wake(self, full=True)
        return done

    def idle(self) -> bool:
        """True where nothing waits."""
        return not (self.waiting or self.running or self.jobs)

    def work(self) -> None:
        """One batch, on the thread."""
        entries: list[_Entry] = []
        while self.waiting and len(entries) < BATCH:
            entries.append(self.waiting.popleft())
            self.running = len(entries)
        try:
            if entries:
                self.pass_on(entries)
        finally:
            self.running = 0
        if not self.waiting:
            while self.jobs:
                self.jobs.popleft()()

    def pass_on(self, entries: list[_Entry]) -> None:
        if self.mask is not None:
            from tracespool import _patches

            _patches.apply(self.mask, entries)
        if self.stuck:  # it came back, too late: the spans are counted as given up
            return
        if self.exporter is None:
            for held, _ in entries:
                held.submit()
            return
        from tracespool import _spans

        taken = False
        try:
            from opentelemetry.sdk.trace.export import SpanExportResult

            spans = [_spans.readable(held, self.public_key, span) for held, span in entries]
            taken = self.exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:
            _log.warning("span_exporter failed: %d spans are dropped", len(entries), exc_info=True)
        for held, _ in entries:
            held.delivered() if taken else held.rejected()
        if taken:
            self.delivered += len(entries)
        else:
            self.dropped += len(entries)

    def give_up(self, entries: list[_Entry]) -> None:
        for held, _ in entries:
            held.rejected()
        self.dropped += len(entries)


class _Thread:
    """The one thread, and those that were left behind."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.woken = threading.Event()
        self.due: dict[int, Stage] = {}
        self.thread: threading.Thread | None = None
        self.current: tuple[Stage, float] | None = None
        self.left_behind = 0
        self.hurry = False
        self.pid = os.getpid()

    def wake(self, stage: Stage, *, full: bool) -> None:
        with self.lock:
            self.due[id(stage)] = stage
            self.hurry |= full
            self._watch()
            thread = self.thread
            if thread is None or not thread.is_alive():
                self.thread = thread = threading.Thread(target=self.run, name="tracespool-stage", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter is on its way out
                    self.thread = None
        self.woken.set()

    def _watch(self) -> None:
        """Leaves a call behind that does not come back."""
        if self.current is None or time.monotonic() - self.current[1] < STUCK or self.left_behind >= MAX_STUCK:
            return
        stage = self.current[0]
        stage.stuck = True
        self.current = None
        self.thread = None
        self.left_behind += 1
        _log.warning("a mask_otel_spans or span_exporter has not come back for %d s: its client's spans are dropped", STUCK)
        stage.give_up(list(stage.waiting))
        stage.waiting.clear()

    def run(self) -> None:
        me = threading.current_thread()
        while True:
            if not self.woken.wait(IDLE):
                with self.lock:
                    if not self.due and self.thread is me:
                        self.thread = None
                        return
            if not self.hurry:
                time.sleep(LINGER)
            with self.lock:
                if self.thread is not me:
                    return
                self.woken.clear()
                self.hurry = False
                due = list(self.due.values())
                self.due.clear()
            for stage in due:
                if not self._one(stage, me):
                    return

    def _one(self, stage: Stage, me: threading.Thread) -> bool:
        """One batch of one client; false where this thread was left behind meanwhile."""
        with self.lock:
            if stage.stuck:
                return True
            self.current = (stage, time.monotonic())
        try:
            stage.work()
        except BaseException:
            _log.warning("a mask_otel_spans or span_exporter failed", exc_info=True)
        with self.lock:
            if self.thread is not me:
                stage.stuck = False
                self.left_behind -= 1
                return False
            self.current = None
            if not stage.idle():
                self.due[id(stage)] = stage
                self.woken.set()
        return True


_thread = _Thread()


def _wait(done: threading.Event, deadline: float) -> None:
    while not done.is_set():
        left = deadline - time.monotonic()
        if left <= 0:
            return
        done.wait(min(left, 0.05))  # in slices, so that Ctrl-C is noticed


def drain_all(timeout: float, last: bool = False) -> None:
    """What waits for masks and exporters of any client; at exit exporters are shut down too."""
    deadline = time.monotonic() + timeout
    for over in begin_drain_all(deadline, last):
        _wait(over, deadline)


def begin_drain_all(deadline: float, last: bool = False) -> list[threading.Event]:
    """Asks for it and returns at once."""
    with _thread.lock:
        stages = set(_thread.due.values()) | set(_exporting)
        if _thread.current is not None:
            stages.add(_thread.current[0])
    return [stage.begin_drain(deadline, last) for stage in stages]


def _after_fork_in_child() -> None:
    """The parent's thread and what waits for it are the parent's."""
    global _thread
    for stage in _thread.due.values():
        stage.waiting.clear()
        stage.jobs.clear()
        stage.running = 0
    _thread = _Thread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
