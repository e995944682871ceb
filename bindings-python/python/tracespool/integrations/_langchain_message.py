"""LangChain's messages and results as Langfuse shows them: the shape of OpenAI's chat API."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ROLES = {
    "HumanMessage": "user",
    "AIMessage": "assistant",
    "SystemMessage": "system",
    "ToolMessage": "tool",
    "FunctionMessage": "function",
}
# By class; as many as there are classes of messages, so it needs no bound.
_known: dict[type, str | None] = {}


def _role_of(kind: type) -> str | None:
    role = next((_ROLES[base.__name__] for base in kind.__mro__ if base.__name__ in _ROLES), None)
    _known[kind] = role
    return role


def shown(message: Any) -> Any:
    """One message. What is no message of LangChain's stays as it is."""
    kind = type(message)
    try:
        role = _known[kind]
    except KeyError:
        role = _role_of(kind)
    try:
        if role is None:
            role = getattr(message, "role", None) or message.type
        result: dict[str, Any] = {"role": role, "content": message.content}
        more = message.additional_kwargs
    except AttributeError:
        return message
    if role == "assistant":
        if calls := getattr(message, "tool_calls", None):
            result["tool_calls"] = calls
        if calls := getattr(message, "invalid_tool_calls", None):
            result["invalid_tool_calls"] = calls
    elif role == "tool":
        result["tool_call_id"] = getattr(message, "tool_call_id", None)
    if more:
        if "name" in more:
            result["name"] = more["name"]
        result["additional_kwargs"] = more
    return result


def tool(definition: Any) -> Any:
    """A tool that a model may call, in OpenAI's shape; tools that were bound unconverted are converted for it."""
    if isinstance(definition, dict) and definition.get("type") == "function" and isinstance(definition.get("function"), dict):
        return definition
    try:
        from langchain_core.utils.function_calling import convert_to_openai_tool

        return convert_to_openai_tool(definition)
    except Exception:
        return definition


def output(generation: Any) -> Any:
    """What a model answered: its message, else its text."""
    message = getattr(generation, "message", None)
    if message is not None:
        return shown(message)
    return (generation.text or "").strip()


def partial(response: Any) -> Any:
    """What a model had said when it failed; LangChain puts what the error itself said behind that."""
    for generation in response.generations[0] if response.generations else ():
        message = getattr(generation, "message", None)
        if generation.text or getattr(message, "tool_calls", None):
            return output(generation)
    return None


def model(response: Any) -> str | None:
    """The model that answered, where the provider says so."""
    output = response.llm_output
    return (output.get("model_name") or None) if output else None
