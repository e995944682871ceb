"""The open runs of a handler: bounded, whatever the application forgets to end."""

from __future__ import annotations

import threading
from itertools import count

from tracespool.integrations import _warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tracespool import Observation

# More runs than a busy server has under way, and half of what a destination may hold: runs that never end must not take the
# room of those that do.
MAX_RUNS = 10_000
MAX_BYTES = 8 * 1024 * 1024
# Bytes are added up at every so manieth start (or rarer, where more runs are open), and at once after a large one.
_LOOK_EVERY = 64
_LARGE = 256 * 1024


class Run:
    """One run that has begun and not ended."""

    __slots__ = ("observation", "parent", "prompt", "streams", "thread", "interrupted")

    def __init__(self, observation: Observation, parent: Run | None) -> None:
        self.observation = observation
        self.parent = parent
        self.prompt: Any = None
        self.streams = False
        self.thread: tuple[str, str, str] | None = None
        self.interrupted = False


class Runs:
    """Open runs by the number of their id, oldest first.

    Safe for threads without a lock: each step is one operation on a dict.
    """

    __slots__ = ("_evicting", "_look_at", "_open", "_starts", "evicted", "get", "max_bytes", "max_runs", "pop")

    def __init__(self, max_runs: int = MAX_RUNS, max_bytes: int = MAX_BYTES) -> None:
        self._open: dict[int, Run] = {}
        self.get = self._open.get
        self.pop = self._open.pop
        self.max_runs = max_runs
        self.max_bytes = max_bytes
        self.evicted = 0
        self._starts = count(1)
        self._look_at = _LOOK_EVERY
        self._evicting = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, key: int, run: Run) -> None:
        """Remembers a run; where there are too many now, the oldest ones are ended as they are."""
        self._open[key] = run
        starts = next(self._starts)
        if len(self._open) > self.max_runs:
            self._evict()
        elif starts >= self._look_at or run.observation.held_bytes > _LARGE:
            self._look_at = starts + max(_LOOK_EVERY, len(self._open))
            if self._bytes() > self.max_bytes:
                self._evict()

    def _bytes(self) -> int:
        return sum(run.observation.held_bytes for run in list(self._open.values()))

    def _evict(self) -> None:
        """Ends the oldest runs until a sixteenth of the room is free."""
        if not self._evicting.acquire(blocking=False):
            return
        try:
            evicted = 0
            room = self._bytes()
            most, runs = self.max_bytes * 15 // 16, self.max_runs * 15 // 16
            for key in list(self._open):
                if len(self._open) <= runs and room <= most:
                    break
                run = self.pop(key, None)
                if run is not None:
                    room -= run.observation.held_bytes
                    evicted += 1
                    end_unseen(run.observation)
            self.evicted += evicted
            _warning.warn(
                "evicted runs",
                "%d LangChain runs were ended unseen: more than %d of them or %d bytes were open, so their ends seem to be lost",
                evicted,
                self.max_runs,
                self.max_bytes,
            )
        finally:
            self._evicting.release()

    def close(self) -> None:
        """Ends what is open: nobody is left who could."""
        for key in list(self._open):
            run = self.pop(key, None)
            if run is not None:
                end_unseen(run.observation)


def end_unseen(observation: Observation) -> None:
    """Ends an observation whose run was never heard of again."""
    observation.update(level="WARNING", status_message="the end of this run was never reported")
    observation.end()
