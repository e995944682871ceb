"""Tools and broken answers as Langfuse shows them: the shape of OpenAI's chat API. Messages are native."""

from __future__ import annotations

from tracespool import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def tool(definition: Any) -> Any:
    """A tool that a model may call, in OpenAI's shape; tools that were bound unconverted are converted for it."""
    if isinstance(definition, dict) and definition.get("type") == "function" and isinstance(definition.get("function"), dict):
        return definition
    try:
        from langchain_core.utils.function_calling import convert_to_openai_tool

        return convert_to_openai_tool(definition)
    except Exception:
        return definition


def partial(response: Any) -> Any:
    """What a model had said when it failed; LangChain puts what the error itself said behind that."""
    for generation in response.generations[0] if response.generations else ():
        message = getattr(generation, "message", None)
        if generation.text or getattr(message, "tool_calls", None):
            return _native.shown_answer(generation)
    return None
