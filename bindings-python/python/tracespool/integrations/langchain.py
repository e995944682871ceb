"""`CallbackHandler` for LangChain and LangGraph.

    from tracespool.integrations.langchain import CallbackHandler

    handler = CallbackHandler()
    chain.invoke(question, config={"callbacks": [handler], "metadata": {"langfuse_session_id": "s-1"}})

One handler serves the whole process, or each request makes its own: neither has a thread, a connection or a queue. Runs find
their parents by LangChain's run ids, so threads, batches and tasks may interleave; what a run executes traces below it.
"""

from __future__ import annotations

from tracespool.integrations import _langchain_message, _warning
from tracespool.integrations._langchain_recording import Recording

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

    from tracespool import Client

__all__ = ["CallbackHandler"]

_FAILED = {"total": 0}


class CallbackHandler(Recording, BaseCallbackHandler):
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
        self._open_at(public_key, trace_context, client)

    # ------------------------------------------------------------------------------------------------ chains

    def on_chain_error(self, error: BaseException, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None:
        """It ends with what it raised."""
        try:
            self._fail(run_id, error, None, inputs)
        except Exception as problem:
            _warning.failed("the end of a LangChain run", problem)

    def on_agent_action(self, action: Any, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None:
        """A chain turns out to be an agent."""
        try:
            run = self._runs.get(run_id)
            if run is not None:
                run.observation.update(as_type="agent", output=action, input=inputs)
        except Exception as error:
            _warning.failed("an action of a LangChain agent", error)

    on_agent_finish = on_agent_action

    # ------------------------------------------------------------------------------------------------ models

    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """The first content tells when the answer began, for models that stream by events."""
        if isinstance(event, dict) and event.get("event") != "message-start":
            self.on_llm_new_token(None, run_id=run_id)

    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, inputs: Any = None, response: Any = None, **kwargs: Any
    ) -> None:
        """It failed; what it had streamed until then is kept."""
        output = None
        try:
            if response is not None:
                output = _langchain_message.partial(response)
        except Exception as problem:
            _warning.failed("the answer of a LangChain model", problem)
        try:
            self._fail(run_id, error, output, inputs, cost_details=_FAILED)
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
                if (run := self._runs.get(run_id)) is not None:
                    run.observation.update(level="ERROR", status_message=message)
            self._end(run_id, output, inputs)
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
            self._end(run_id, documents, inputs)
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
