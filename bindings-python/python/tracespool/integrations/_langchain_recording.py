"""What every run of a handler goes through beside its begin, its end and its prompt, which are native: failure, interrupts,
bounds.
"""

from __future__ import annotations

from datetime import datetime, timezone

from tracespool import _native
from tracespool.integrations import _langchain_message, _langchain_model, _langchain_threads, _langchain_usage, _warning
from tracespool.integrations._langchain_runs import Bounds, end_unseen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any
    from uuid import UUID

    from typing_extensions import Self

    from tracespool import Client, Observation


class Recording(_native.Recorder):
    """The open runs of a handler and where they are recorded."""

    # What the native part asks for.
    _failed = staticmethod(_warning.failed)
    _usage = staticmethod(_langchain_usage.counts)

    def _open_at(self, public_key: str | None, trace_context: Mapping[str, str] | None, client: Client | None) -> None:
        self._client = client
        self._trace_context = trace_context
        self._bounds = Bounds(self._runs)
        self._open(public_key, client, trace_context is not None)

    def __del__(self) -> None:
        try:
            for observation in self._runs.evict(0, 0):
                end_unseen(observation)
        except Exception:
            return

    def __copy__(self) -> Self:
        """Runs are found by their ids: a copy would be the same handler."""
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    @property
    def evicted_runs(self) -> int:
        """Runs that were ended because their own end was never reported."""
        return self._bounds.evicted

    def _thread(self, client: Client, metadata: Any, input: Any) -> tuple[Any, dict[str, str] | None]:
        """A graph's thread, and where it left off if it goes on now."""
        thread = _langchain_threads.thread_of(client, metadata)
        goes_on = (
            thread is not None
            and self._trace_context is None
            and _langchain_threads.resumes(input)
            and _native.get_current_trace_id() is None
        )
        return thread, _langchain_threads.take(thread) if goes_on and thread is not None else None

    def _model(self, serialized: Any, metadata: Any, called_with: Any, name: str) -> str | None:
        """The model of a run; asked only where its metadata does not name it."""
        model = _langchain_model.name(serialized, metadata, called_with)
        if model is None:
            _warning.warn("model", "LangChain does not say which model %s calls: it is recorded without one", name)
        return model

    def _with_tools(self, asked: Any, tools: list[Any]) -> list[Any]:
        """The tools that a model may call stand behind what it is asked."""
        asked = asked if isinstance(asked, list) else [asked]
        return [*asked, *({"role": "tool", "content": _langchain_message.tool(tool)} for tool in tools)]

    def _began(self, observation: Observation) -> None:
        observation.update(completion_start_time=datetime.now(timezone.utc))

    def _end(self, run_id: UUID, output: Any, input: Any) -> None:
        root = self._runs.end(run_id, output, input)
        if root is not None and self._interrupts:
            self._leave(root)

    def _leave(self, root: _native.OpenRun) -> None:
        """Notes where an interrupted graph goes on."""
        thread = root.thread
        if thread is not None and root.interrupted and self._trace_context is None:
            _langchain_threads.leave(thread, root.observation)

    def _fail(self, run_id: UUID, error: BaseException, output: Any, input: Any, **fields: Any) -> None:
        run = self._runs.get(run_id)
        if run is None:
            return
        level, message = "ERROR", str(error)
        if _langchain_threads.control_flow(error):
            level, message = "DEFAULT", message or type(error).__name__
            root = run
            while root.parent is not None:
                root = root.parent
            if root is run or _langchain_threads.interrupts(error):
                root.interrupted = self._interrupts = True
        run.observation.update(level=level, status_message=message, **fields)
        self._end(run_id, output, input)
