"""What a process holds: threads, sockets, tasks, memory, and whatever the application counts. Sampled on demand.

    monitor = Monitor()
    contexts = monitor.counter("browser_contexts")
    with contexts.held(): ...
    monitor.register("mcp_connections", lambda: len(pool))
    monitor.sample()

A series that only ever grows over the window is warned about, once a window.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import sys
import threading
import time
from collections import deque

from tracespool import _native
from tracespool.ops.memory import MB, rss_bytes

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_log = logging.getLogger("tracespool.ops")

_POINTS = 60
"""Points that a window keeps of each series."""
_STEPS = 4
"""A series has to rise so many times in a window, spread over all of it: one step up is a start, not a leak."""
_LEAST = {"rss_bytes": 16 * MB, "tracing_bytes": 4 * MB}
_LEAST_COUNT = 5
"""How much a count has to grow over a window."""
_MAX_SERIES = 256


class Counter:
    """How many of something there are now. Safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = 0

    @property
    def value(self) -> int:
        return self._value

    def add(self, count: int = 1) -> None:
        with self._lock:
            self._value += count

    def remove(self, count: int = 1) -> None:
        self.add(-count)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Counts one more for the length of the block."""
        self.add()
        try:
            yield
        finally:
            self.remove()


class Monitor:
    """Takes samples when it is asked to, keeps those of the last `window` seconds, and warns of what only grows.

    There is no thread: a middleware, a task (`run`), or the page that shows metrics asks. `interval` seconds pass between
    samples that are kept, however often `tick` is called.
    """

    def __init__(self, *, window: float = 600.0, interval: float | None = None) -> None:
        self.window = window
        self.interval = interval if interval is not None else window / _POINTS
        self.growing: dict[str, dict[str, float]] = {}
        """Series that only grew over the last whole window: `before`, `now`, `seconds`."""
        self._readers: dict[str, Callable[[], float]] = {}
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._history: dict[str, deque[tuple[float, float]]] = {}
        self._warned: dict[str, float] = {}
        self._latest: dict[str, Any] | None = None
        self._due = 0.0

    def counter(self, name: str) -> Counter:
        """A new counter, registered by `name`."""
        counter = Counter()
        self.register(name, lambda: counter.value)
        return counter

    def register(self, name: str, read: Callable[[], float]) -> None:
        """Calls `read` at each sample. One that raises is left out of that sample."""
        if name not in self._readers and len(self._readers) >= _MAX_SERIES:
            raise ValueError(f"{_MAX_SERIES} counters are registered; {name!r} would be one more")
        self._readers[name] = read

    def unregister(self, name: str) -> None:
        self._readers.pop(name, None)
        self._history.pop(name, None)

    def tick(self) -> dict[str, Any]:
        """The latest sample; a new one where `interval` is over. What a middleware calls."""
        latest = self._latest
        if latest is not None and time.monotonic() < self._due and self._pid == os.getpid():
            return latest
        return self.sample()

    async def run(self) -> None:
        """Samples each `interval` until it is cancelled: `asyncio.create_task(monitor.run())`, or in a nursery of trio."""
        from tracespool.ops import _home

        sleep = _home.current().sleep
        while True:
            self.tick()
            await sleep(max(0.05, self.interval))

    def sample(self) -> dict[str, Any]:
        """What there is now. With thousands of open files this takes milliseconds.

        `rss_bytes`, `threads`, `open_files`, `sockets`, `event_polls` (epoll instances: one for each event loop that is
        not closed, whether it runs or not; Linux), `asyncio_tasks` and `event_loops` (of unfinished tasks, in all threads),
        `counters` (what is registered), `tracing` (tracespool's `stats()`), `growing`.
        """
        if self._pid != os.getpid():
            self._begin()
        now = time.monotonic()
        self._due = now + self.interval
        tracing = _native.stats()
        tasks, loops = _tasks()
        figures: dict[str, float] = {"rss_bytes": rss_bytes(), "threads": _threads(), **_files()}
        figures |= {"asyncio_tasks": tasks, "event_loops": loops}
        counters = {}
        for name, read in list(self._readers.items()):
            try:
                counters[name] = read()
            except Exception as error:
                _log.debug("the counter %s cannot be read: %r", name, error)
        watched = figures | {
            "tracing_bytes": tracing["bytes"],
            "tracing_clients": tracing["clients"],
            "tracing_pending": tracing["observations"]["pending"],
        }
        warnings = []
        with self._lock:
            for name, value in (watched | counters).items():
                grown = self._keep(name, now, value)
                if grown is not None:
                    warnings.append(grown)
        for name, before, value, seconds in warnings:
            _log.warning(
                "%s only grows: %s -> %s over %.0f s (pid %d)",
                name, _said(name, before), _said(name, value), seconds, self._pid,
            )  # fmt: skip
        self._latest = {
            "time": time.time(),
            "pid": self._pid,
            **figures,
            "counters": counters,
            "tracing": tracing,
            "growing": dict(self.growing),
        }
        return self._latest

    def _keep(self, name: str, now: float, value: float) -> tuple[str, float, float, float] | None:
        """Adds a point; what is to be warned of."""
        points = self._history.get(name)
        if points is None:
            points = self._history[name] = deque(maxlen=4 * _POINTS)
        if points and now - points[-1][0] < self.window / (2 * _POINTS):
            points[-1] = (points[-1][0], value)  # asked more often than is kept
        else:
            points.append((now, value))
        # One point from before the window stays, so that the window is covered whole.
        while len(points) > 1 and points[1][0] <= now - self.window:
            points.popleft()
        since, before = points[0]
        whole = now - since >= self.window
        if not whole or not _only_grows(points) or value - before < _LEAST.get(name, _LEAST_COUNT):
            self.growing.pop(name, None)
            return None
        self.growing[name] = {"before": before, "now": value, "seconds": round(now - since, 1)}
        if now - self._warned.get(name, -self.window) < self.window:
            return None
        self._warned[name] = now
        return name, before, value, now - since


def _only_grows(points: deque[tuple[float, float]]) -> bool:
    """Never falls, and rises in each quarter of the time: what has levelled off is not growing."""
    first, last = points[0][0], points[-1][0]
    quarters, rises, before = set(), 0, points[0][1]
    for moment, value in points:
        if value < before:
            return False
        if value > before:
            rises += 1
            quarters.add(min(3, int(4 * (moment - first) / max(last - first, 1e-9))))
        before = value
    return rises >= _STEPS and len(quarters) == 4


def _said(name: str, value: float) -> str:
    return f"{value / MB:.1f} MB" if name.endswith("_bytes") else f"{value:g}"


def _threads() -> int:
    """Threads of the process, those outside of Python too (Linux)."""
    try:
        with open("/proc/self/stat", "rb") as file:
            # proc_pid_stat(5): field 20; the command in field 2 may itself have spaces and parentheses.
            return int(file.read().rpartition(b")")[2].split()[17])
    except (OSError, IndexError, ValueError):
        return threading.active_count()


def _files() -> dict[str, float]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        break
    else:
        return {}
    sockets = polls = 0
    for name in names:
        try:
            mode = os.fstat(int(name)).st_mode
            if stat.S_ISSOCK(mode):
                sockets += 1
            elif stat.S_IFMT(mode) == 0 and "eventpoll" in os.readlink(f"{folder}/{name}"):
                polls += 1  # anonymous inodes have no type
        except (OSError, ValueError):
            pass  # closed meanwhile, as the one that listed the folder is
    return {"open_files": max(0, len(names) - 1), "sockets": sockets, "event_polls": polls}


def _tasks() -> tuple[int, int]:
    """Unfinished asyncio tasks and the loops that they belong to. Imports nothing: without asyncio there are none."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return 0, 0
    loops: set[Any] = set()
    count = 0
    for task in _all_tasks(asyncio):
        if not task.done():
            count += 1
            loops.add(task.get_loop())
    with contextlib.suppress(RuntimeError):
        loops.add(asyncio.get_running_loop())
    return count, sum(not loop.is_closed() for loop in loops)


def _all_tasks(asyncio: Any) -> Any:
    """asyncio tells the tasks of one loop only; those of all loops it keeps in sets whose names changed over the versions.
    Where none is there, the running loop's.
    """
    tasks = asyncio.tasks
    everywhere = getattr(tasks, "_scheduled_tasks", None)
    if everywhere is None:
        everywhere = getattr(tasks, "_all_tasks", None)
    # From 3.14 the tasks of C are in lists of their threads, and these sets have the others only.
    if everywhere is not None and sys.version_info < (3, 14):
        for _ in range(100):  # other threads add to it while it is walked
            try:
                return [*everywhere, *getattr(tasks, "_eager_tasks", ())]
            except RuntimeError:
                continue
    try:
        return asyncio.all_tasks()
    except RuntimeError:
        return ()
