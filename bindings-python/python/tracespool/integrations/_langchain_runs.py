"""The open runs of a handler, bounded whatever LangChain forgets to end."""

from __future__ import annotations

import threading

from tracespool import _native
from tracespool.integrations import _warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tracespool import Observation

# More runs than a busy server has under way, and half of what a destination may hold: runs that never end must not take the
# room of those that do.
MAX_RUNS = 10_000
MAX_BYTES = 8 * 1024 * 1024


class Bounds:
    """How many runs may be open, and how many had to be ended for that."""

    __slots__ = ("_counting", "_open", "evicted")

    def __init__(self, open_runs: _native.OpenRuns | None = None) -> None:
        self._open = open_runs if open_runs is not None else _native.OpenRuns()
        self.runs = MAX_RUNS
        self.bytes = MAX_BYTES
        self.evicted = 0
        # Ending an observation may run code of the application that begins a run of this very handler.
        self._counting = threading.RLock()

    @property
    def runs(self) -> int:
        """Runs at most."""
        return self._open.max_runs

    @runs.setter
    def runs(self, value: int) -> None:
        self._open.max_runs = value

    @property
    def bytes(self) -> int:
        """Bytes at most, as the runs began."""
        return self._open.max_bytes

    @bytes.setter
    def bytes(self, value: int) -> None:
        self._open.max_bytes = value

    def keep(self, open_runs: _native.OpenRuns) -> None:
        """Ends the oldest runs until a sixteenth of the room is free."""
        evicted = open_runs.evict(self.runs * 15 // 16, self.bytes * 15 // 16)
        with self._counting:
            self.evicted += len(evicted)
        for observation in evicted:
            end_unseen(observation)
        _warning.warn(
            "evicted runs",
            "%d LangChain runs were ended unseen: more than %d of them or %d bytes were open, so their ends seem to be lost",
            len(evicted),
            self.runs,
            self.bytes,
        )


def end_unseen(observation: Observation) -> None:
    """Ends an observation whose run was never heard of again."""
    observation.update(level="WARNING", status_message="the end of this run was never reported")
    observation.end()
