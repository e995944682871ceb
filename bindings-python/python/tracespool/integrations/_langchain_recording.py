"""What every run of a handler goes through: its begin below its parent, its end, its failure, and the prompt on its way."""

from __future__ import annotations

from tracespool import _native
from tracespool.integrations import _langchain_threads
from tracespool.integrations._langchain_runs import Bounds, end_unseen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any
    from uuid import UUID

    from tracespool import Client

_HIDDEN = "langsmith:hidden"
_TRACE_KEYS = ("langfuse_session_id", "langfuse_user_id", "langfuse_tags", "langfuse_trace_name")
_KEYS = frozenset((*_TRACE_KEYS, "langfuse_prompt"))
_PROPAGATED = ((_TRACE_KEYS[0], "session_id"), (_TRACE_KEYS[1], "user_id"), (_TRACE_KEYS[3], "trace_name"))
# Servers take no longer text for a whole trace.
_MAX_TEXT = 200


class Recording:
    """The open runs of a handler and where they are recorded."""

    last_trace_id: str | None = None

    def _open(self, public_key: str | None, trace_context: Mapping[str, str] | None, client: Client | None) -> None:
        self._client = client
        self._public_key = public_key
        self._trace_context = trace_context
        self._runs = _native.OpenRuns()
        self._bounds = Bounds()
        # True once there was any: until then nobody needs to look for them.
        self._prompts = False
        self._interrupts = False

    def __del__(self) -> None:
        try:
            for observation in self._runs.evict(0, 0):
                end_unseen(observation)
        except Exception:
            return

    @property
    def evicted_runs(self) -> int:
        """Runs that were ended because their own end was never reported."""
        return self._bounds.evicted

    def _start(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        name: Any,
        kind: str,
        input: Any,
        tags: Any,
        metadata: Any,
        fields: dict[str, Any] | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        runs = self._runs
        said = metadata
        if more:
            said = {**metadata, **more} if metadata else more
        observation = None
        if parent_run_id is not None:
            observation = runs.begin(run_id, parent_run_id, name, kind, input, tags, said)
        if observation is None:
            self._start_usually(run_id, parent_run_id, name, kind, input, tags, metadata, said, fields or {})
        elif fields:
            observation.update(**fields)
        bounds = self._bounds
        if len(runs) > bounds.runs or runs.bytes > bounds.bytes:
            bounds.keep(runs)

    def _start_usually(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        name: Any,
        kind: str,
        input: Any,
        tags: Any,
        metadata: Any,
        said: Any,
        fields: dict[str, Any],
    ) -> None:
        """A run without a parent that this handler knows goes below what is current, with what its metadata says of the
        trace. One of a client with a mask is begun here too.
        """
        is_root = parent_run_id is None
        # A model alone has nothing around it that could show what is said of the trace.
        drop = ("langfuse_prompt",) if is_root and kind == "generation" else _KEYS
        shown = {"tags": tags} if tags else {}
        shown.update((key, value) for key, value in (said or {}).items() if key not in drop)
        if is_root:
            shown["is_langchain_root"] = True
        level = "DEBUG" if tags and _HIDDEN in tags else None
        parent = None if parent_run_id is None else self._runs.get(parent_run_id)
        if parent is not None:
            observation = parent.observation.start_observation(
                name=name, as_type=kind, input=input, metadata=shown, level=level, **fields
            )
            self._runs.adopt(run_id, parent_run_id, observation)
            return
        client = self._client or _native.get_client(public_key=self._public_key)
        trace_context = self._trace_context
        thread = None
        if is_root and metadata:
            thread = _langchain_threads.thread_of(client, metadata)
            if (
                thread is not None
                and trace_context is None
                and _langchain_threads.resumes(input)
                and _native.get_current_trace_id() is None
            ):
                trace_context = _langchain_threads.take(thread)
        start = client.start_observation
        fields = {"name": name, "as_type": kind, "input": input, "metadata": shown, "level": level, **fields}
        if is_root and (tags or metadata):
            with _native.propagate_attributes(**_said_of_trace(tags, metadata, kind)):
                observation = start(trace_context=trace_context, **fields)
        else:
            observation = start(trace_context=trace_context, **fields)
        self.last_trace_id = observation.trace_id
        self._runs.adopt(run_id, None, observation)
        if thread is not None and (run := self._runs.get(run_id)) is not None:
            run.thread = thread

    def _end(self, run_id: UUID, output: Any, input: Any, model: Any = None, usage: Any = None) -> None:
        root = self._runs.end(run_id, output, input, model, usage)
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

    def _note_prompt(self, run_id: UUID, parent_run_id: UUID, prompt: Any) -> None:
        """A prompt belongs to the next model on its level, or to one below a sibling that follows it."""
        parent = self._runs.get(parent_run_id)
        if parent is None:
            return
        if prompt:
            parent.prompt = prompt
            self._prompts = True
        elif (known := parent.prompt) and (run := self._runs.get(run_id)) is not None:
            run.prompt = known

    def _take_prompt(self, parent_run_id: UUID) -> Any:
        run = self._runs.get(parent_run_id)
        while run is not None:
            if prompt := run.prompt:
                run.prompt = None
                return prompt
            run = run.parent
        return None


def _said_of_trace(tags: Any, metadata: Any, kind: str) -> dict[str, Any]:
    """What a root run's tags and metadata say of its whole trace. Further metadata is the trace's only where it comes from
    the application: a chain's does, other runs add their own.
    """
    said: dict[str, Any] = {}
    if metadata:
        for key, name in _PROPAGATED:
            value = metadata.get(key)
            if isinstance(value, str):
                said[name] = value
        more = metadata.get("langfuse_tags")
        if isinstance(more, list) and more:
            tags = [*more, *(tags or ())]
        if kind in ("chain", "agent"):
            said["metadata"] = {
                key: value
                for key, value in metadata.items()
                if key not in _KEYS
                and (isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= _MAX_TEXT))
            }
    if tags:
        said["tags"] = [str(tag) for tag in dict.fromkeys(tags)]
    return said
