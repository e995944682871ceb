"""`CallbackHandler` for LangChain and LangGraph.

    from tracespool.integrations.langchain import CallbackHandler

    handler = CallbackHandler()
    chain.invoke(question, config={"callbacks": [handler], "metadata": {"langfuse_session_id": "s-1"}})

One handler serves the whole process, or each request makes its own: neither has a thread, a connection or a queue. Runs find
their parents by LangChain's run ids, so threads, batches and tasks may interleave; what a run executes traces below it.
"""

from __future__ import annotations

from datetime import datetime, timezone

from tracespool.integrations import _langchain_message, _langchain_model, _langchain_usage, _warning
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
        self._open(public_key, trace_context, client)

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
            self._start(run_id, parent_run_id, name, kind, inputs, tags, metadata)
            prompt = metadata.get("langfuse_prompt") if metadata else None
            if (prompt or self._prompts) and parent_run_id is not None:
                self._note_prompt(run_id, parent_run_id, prompt)
        except Exception as error:
            _warning.failed("the start of a LangChain run", error)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None:
        """It ends with `outputs`; a streamed one knows its whole input only now."""
        try:
            root = self._runs.end(run_id, outputs, inputs)
            if root is not None and self._interrupts:
                self._leave(root)
        except Exception as error:
            _warning.failed("the end of a LangChain run", error)

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
        fields: dict[str, Any] = {"model": model, "model_parameters": _langchain_model.parameters(called_with)}
        if self._prompts and parent_run_id is not None:
            fields["prompt"] = self._take_prompt(parent_run_id)
        if name is None:
            name = _name(serialized)
        self._start(run_id, parent_run_id, name, "generation", asked, tags, metadata, fields)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """The first token tells when the answer began."""
        try:
            observation = self._runs.first(run_id)
            if observation is not None:
                observation.update(completion_start_time=datetime.now(timezone.utc))
        except Exception as error:
            _warning.failed("the first token of a LangChain run", error)

    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """The first content tells when the answer began, for models that stream by events."""
        if isinstance(event, dict) and event.get("event") != "message-start":
            self.on_llm_new_token(None, run_id=run_id)

    def on_llm_end(self, response: Any, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None:
        """It has answered."""
        output = model = usage = None
        try:
            output = _langchain_message.output(response.generations[-1][-1])
            model = _langchain_message.model(response)
            usage = _langchain_usage.of_response(response)
        except Exception as error:
            _warning.failed("the answer of a LangChain model", error)
        try:
            self._end(run_id, output, inputs, model, usage)
        except Exception as error:
            _warning.failed("the end of a LangChain run", error)

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
                None,
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
