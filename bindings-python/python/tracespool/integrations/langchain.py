"""`CallbackHandler` for LangChain and LangGraph.

    from tracespool.integrations.langchain import CallbackHandler

    handler = CallbackHandler()
    chain.invoke(question, config={"callbacks": [handler], "metadata": {"langfuse_session_id": "s-1"}})

One handler serves the whole process, or each request makes its own: neither has a thread, a connection or a queue. Runs find
their parents by LangChain's run ids, so threads, batches and tasks may interleave; what a run executes traces below it.
"""

from __future__ import annotations

from datetime import datetime, timezone

from tracespool import _native
from tracespool.integrations import _langchain_message, _langchain_model, _langchain_threads, _langchain_usage, _warning
from tracespool.integrations._langchain_runs import Run, Runs

try:
    from langchain_core.callbacks.base import BaseCallbackHandler
except ImportError as error:
    raise ModuleNotFoundError(
        "tracespool.integrations.langchain needs langchain-core: pip install 'langchain-core>=0.3'"
    ) from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any
    from uuid import UUID

    from tracespool import Client, Observation

__all__ = ["CallbackHandler"]

_HIDDEN = "langsmith:hidden"
_TRACE_KEYS = ("langfuse_session_id", "langfuse_user_id", "langfuse_tags", "langfuse_trace_name")
_KEYS = frozenset((*_TRACE_KEYS, "langfuse_prompt"))
_PROPAGATED = ((_TRACE_KEYS[0], "session_id"), (_TRACE_KEYS[1], "user_id"), (_TRACE_KEYS[3], "trace_name"))
# Servers take no longer text for a whole trace.
_MAX_TEXT = 200
_FAILED = {"total": 0}

_attach = _native.attach
_detach = _native.detach


class CallbackHandler(BaseCallbackHandler):
    """Records the runs of LangChain and LangGraph as observations. Never raises and never waits.

    `client` or `public_key` says where they go; with neither, each root run goes to the client that is current where it
    starts. `trace_context` (`{"trace_id": ..., "parent_span_id": ...}`) puts root runs into a trace of yours.

    `last_trace_id` is the trace of the last root run. `evicted_runs` counts runs whose end LangChain never reported: the
    oldest are ended with level WARNING where more than 10,000 or 8 MiB of them are open.
    """

    # In async chains, too: an event costs less than handing it to a thread would.
    run_inline = True
    raise_error = False
    ignore_llm = False
    ignore_retry = True
    ignore_chain = False
    ignore_agent = False
    ignore_retriever = False
    ignore_chat_model = False
    ignore_custom_event = True

    def __init__(
        self,
        *,
        public_key: str | None = None,
        trace_context: Mapping[str, str] | None = None,
        client: Client | None = None,
    ) -> None:
        self.last_trace_id: str | None = None
        self._client = client
        self._public_key = public_key
        self._trace_context = trace_context
        self._runs = Runs()

    def __del__(self) -> None:
        try:
            if runs := self.__dict__.get("_runs"):
                runs.close()
        except Exception:
            return

    @property
    def evicted_runs(self) -> int:
        """Runs that were ended because their own end was never reported."""
        return self._runs.evicted

    # ------------------------------------------------------------------------------------------------ begin and end

    def _start(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        name: Any,
        kind: str,
        input: Any,
        tags: Any,
        metadata: Any,
        more: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Run:
        parent = self._runs.get(parent_run_id.int) if parent_run_id is not None else None
        if tags:
            said = {"tags": tags, **metadata} if metadata else {"tags": tags}
            level = "DEBUG" if _HIDDEN in tags else None
        else:
            said, level = metadata, None
        if more:
            said = {**said, **more} if said else more
        if parent_run_id is None:
            said = {**said, "is_langchain_root": True} if said else {"is_langchain_root": True}
        if said and not _KEYS.isdisjoint(said):
            # Alone, a model has nothing around it that could carry what is said of the trace.
            drop = ("langfuse_prompt",) if parent_run_id is None and kind == "generation" else _KEYS
            said = {key: value for key, value in said.items() if key not in drop}
        if parent is not None:
            observation = parent.observation.start_observation(
                name=name, as_type=kind, input=input, metadata=said, level=level, **fields
            )
            run = Run(observation, parent)
        else:
            run = self._start_root(
                parent_run_id is None,
                tags,
                metadata,
                {"name": name, "as_type": kind, "input": input, "metadata": said, "level": level, **fields},
            )
        self._runs.add(run_id.int, run)
        _attach(run.observation)
        return run

    def _start_root(self, is_root: bool, tags: Any, metadata: Any, fields: dict[str, Any]) -> Run:
        """A run without a parent that this handler knows: below what is current, with what its metadata says of the trace."""
        client = self._client or _native.get_client(public_key=self._public_key)
        trace_context = self._trace_context
        thread = None
        if is_root:
            thread = _langchain_threads.thread_of(client, metadata)
            if (
                thread is not None
                and trace_context is None
                and _langchain_threads.resumes(fields["input"])
                and _native.get_current_trace_id() is None
            ):
                trace_context = _langchain_threads.take(thread)
        if is_root and (tags or metadata):
            with _native.propagate_attributes(**_said_of_trace(tags, metadata, fields["as_type"])):
                observation = client.start_observation(trace_context=trace_context, **fields)
        else:
            observation = client.start_observation(trace_context=trace_context, **fields)
        self.last_trace_id = observation.trace_id
        run = Run(observation, None)
        run.thread = thread
        return run

    def _end(self, run_id: UUID, **fields: Any) -> None:
        run = self._runs.pop(run_id.int, None)
        if run is None:
            return
        observation = run.observation
        try:
            observation.update(**fields)
        finally:
            if run.interrupted and run.thread is not None and self._trace_context is None:
                _langchain_threads.leave(run.thread, observation)
            _detach(observation)
            observation.end()

    def _fail(self, run_id: UUID, error: BaseException, **fields: Any) -> None:
        run = self._runs.get(run_id.int)
        if run is None:
            return
        if _langchain_threads.control_flow(error):
            level, message = "DEFAULT", str(error) or type(error).__name__
            root = run
            while root.parent is not None:
                root = root.parent
            if root is run or _langchain_threads.interrupts(error):
                root.interrupted = True
        else:
            level, message = "ERROR", str(error)
        self._end(run_id, level=level, status_message=message, **fields)

    # ------------------------------------------------------------------------------------------------ chains

    def on_chain_start(
        self,
        serialized: Any,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: Any = None,
        metadata: Any = None,
        run_type: Any = None,
        name: Any = None,
        **kwargs: Any,
    ) -> None:
        """A chain, a graph or a node of one begins."""
        try:
            if serialized:
                if name is None:
                    name = _name(serialized)
                path = serialized.get("id") or ()
                kind = "agent" if any("agent" in str(part).lower() for part in (name, *path)) else "chain"
            else:
                if name is None:
                    name = "<unknown>"
                kind = "agent" if "agent" in name.lower() else "chain"
            run = self._start(run_id, parent_run_id, name, kind, inputs, tags, metadata)
            parent = run.parent
            if parent is not None:
                # A prompt belongs to the next model on its level, or below a sibling that follows it.
                prompt = metadata.get("langfuse_prompt") if metadata else None
                if prompt:
                    parent.prompt = prompt
                elif parent.prompt:
                    run.prompt = parent.prompt
        except Exception as error:
            _warning.failed("the start of a LangChain run", error)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None:
        """It ends with `outputs`; a streamed one knows its whole input only now."""
        try:
            self._end(run_id, output=outputs, input=inputs)
        except Exception as error:
            _warning.failed("the end of a LangChain run", error)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None:
        """It ends with what it raised."""
        try:
            self._fail(run_id, error, input=inputs)
        except Exception as problem:
            _warning.failed("the end of a LangChain run", problem)

    def on_agent_action(self, action: Any, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None:
        """A chain turns out to be an agent."""
        try:
            run = self._runs.get(run_id.int)
            if run is not None:
                run.observation.update(as_type="agent", output=action, input=inputs)
        except Exception as error:
            _warning.failed("an action of a LangChain agent", error)

    on_agent_finish = on_agent_action

    # ------------------------------------------------------------------------------------------------ models

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A chat model is asked."""
        try:
            shown = _langchain_message.shown
            self._ask(serialized, [shown(message) for batch in messages for message in batch], run_id, **kwargs)
        except Exception as error:
            _warning.failed("the start of a LangChain run", error)

    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A completion model is asked."""
        try:
            self._ask(serialized, prompts[0] if len(prompts) == 1 else list(prompts), run_id, **kwargs)
        except Exception as error:
            _warning.failed("the start of a LangChain run", error)

    def _ask(
        self,
        serialized: Any,
        asked: Any,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: Any = None,
        metadata: Any = None,
        invocation_params: Any = None,
        name: Any = None,
        **kwargs: Any,
    ) -> None:
        called_with = invocation_params or {}
        tools = called_with.get("tools")
        if tools and isinstance(tools, list):
            asked = asked if isinstance(asked, list) else [asked]
            asked.extend({"role": "tool", "content": _langchain_message.tool(tool)} for tool in tools)
        model = _langchain_model.name(serialized, metadata, called_with)
        if model is None:
            _warning.warn("model", "LangChain does not say which model %s calls: it is recorded without one", name)
        prompt = None
        parent = self._runs.get(parent_run_id.int) if parent_run_id is not None else None
        while parent is not None:
            if parent.prompt:
                prompt, parent.prompt = parent.prompt, None
                break
            parent = parent.parent
        self._start(
            run_id,
            parent_run_id,
            name if name is not None else _name(serialized),
            "generation",
            asked,
            tags,
            metadata,
            model=model,
            model_parameters=_langchain_model.parameters(called_with),
            prompt=prompt,
        )

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """The first token tells when the answer began."""
        run = self._runs.get(run_id.int)
        if run is not None and not run.streams:
            run.streams = True
            try:
                run.observation.update(completion_start_time=datetime.now(timezone.utc))
            except Exception as error:
                _warning.failed("the first token of a LangChain run", error)

    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """The first content tells when the answer began, for models that stream by events."""
        run = self._runs.get(run_id.int)
        if run is not None and not run.streams and type(event) is dict and event.get("event") != "message-start":
            self.on_llm_new_token(None, run_id=run_id)

    def on_llm_end(self, response: Any, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None:
        """It has answered."""
        fields: dict[str, Any] = {"input": inputs}
        try:
            fields["output"] = _langchain_message.output(response.generations[-1][-1])
            fields["model"] = _langchain_message.model(response)
            fields["usage_details"] = _langchain_usage.of_response(response)
        except Exception as error:
            _warning.failed("the answer of a LangChain model", error)
        try:
            self._end(run_id, **fields)
        except Exception as error:
            _warning.failed("the end of a LangChain run", error)

    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, inputs: Any = None, response: Any = None, **kwargs: Any
    ) -> None:
        """It failed; what it had streamed until then is kept."""
        fields: dict[str, Any] = {"input": inputs}
        try:
            if response is not None:
                fields["output"] = _langchain_message.partial(response)
        except Exception as problem:
            _warning.failed("the answer of a LangChain model", problem)
        try:
            self._fail(run_id, error, cost_details=_FAILED, **fields)
        except Exception as problem:
            _warning.failed("the end of a LangChain run", problem)

    # ------------------------------------------------------------------------------------------------ tools and retrievers

    def on_tool_start(
        self,
        serialized: Any,
        input_str: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: Any = None,
        metadata: Any = None,
        inputs: Any = None,
        name: Any = None,
        **kwargs: Any,
    ) -> None:
        """A tool is called, by its arguments where they are known apart."""
        try:
            more = {key: value for key, value in kwargs.items() if value is not None}
            if name is not None:
                more["name"] = name
            self._start(
                run_id,
                parent_run_id,
                name if name is not None else _name(serialized),
                "tool",
                inputs if inputs is not None else input_str,
                tags,
                metadata,
                more,
            )
        except Exception as error:
            _warning.failed("the start of a LangChain run", error)

    def on_tool_end(self, output: Any, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None:
        """It has answered; an answer that says it is an error is one."""
        try:
            if getattr(output, "status", None) == "error" and hasattr(output, "tool_call_id"):
                content = output.content
                message = content if isinstance(content, str) else str(content)
                self._end(run_id, output=output, input=inputs, level="ERROR", status_message=message)
            else:
                self._end(run_id, output=output, input=inputs)
        except Exception as error:
            _warning.failed("the end of a LangChain run", error)

    on_tool_error = on_chain_error

    def on_retriever_start(
        self,
        serialized: Any,
        query: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: Any = None,
        metadata: Any = None,
        name: Any = None,
        **kwargs: Any,
    ) -> None:
        """Documents are looked for."""
        try:
            name = name if name is not None else _name(serialized)
            self._start(run_id, parent_run_id, name, "retriever", query, tags, metadata)
        except Exception as error:
            _warning.failed("the start of a LangChain run", error)

    def on_retriever_end(self, documents: Any, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None:
        """They are found."""
        try:
            self._end(run_id, output=documents, input=inputs)
        except Exception as error:
            _warning.failed("the end of a LangChain run", error)

    on_retriever_error = on_chain_error


def _name(serialized: Any) -> str:
    if isinstance(serialized, dict):
        if serialized.get("name") is not None:
            return str(serialized["name"])
        if path := serialized.get("id"):
            return str(path[-1])
    return "<unknown>"


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
