"""What OpenAI answered, as fields of the observation. Objects of the package and plain JSON are read alike."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DETAILS = ("prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details")
_NO_METADATA = ("created_at", "model", "output", "usage", "text")


def part(value: Any, name: str) -> Any:
    """A member of an object or of a dict, `None` where there is none."""
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def members(value: Any) -> dict[str, Any]:
    """A copy of all members."""
    return dict(value if isinstance(value, dict) else vars(value))


def fields(kind: str, response: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """What a whole answer sets."""
    if response is None:
        return {"output": "<NoneType response returned from OpenAI>"}
    return {
        "output": _OUTPUT[kind](response),
        **about(part(response, "model"), part(response, "usage"), part(response, "service_tier"), parameters),
    }


def about(model: Any, used: Any, tier: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """The model that answered, what it used and how it was served."""
    said: dict[str, Any] = {}
    if model:
        said["model"] = model
    if used is not None:
        said["usage_details"] = usage(used)
        cost = part(used, "cost")
        if isinstance(cost, float):  # OpenRouter tells the price
            said["cost_details"] = {"total": cost}
    if tier:
        # The one that served the call, where it asked for "auto".
        said["model_parameters"] = {**parameters, "service_tier": tier}
    return said


def usage(used: Any) -> dict[str, Any]:
    """Counts under OpenAI's own names, which servers understand."""
    counts = members(used)
    for name in _DETAILS:
        if (details := counts.get(name)) is not None:
            counts[name] = {key: count for key, count in members(details).items() if count is not None}
    if counts.keys() == {"prompt_tokens", "total_tokens"}:
        return {"input": counts["prompt_tokens"]}  # an embedding has no output
    return counts


def message(said: Any) -> dict[str, Any]:
    """One message of an answer."""
    shown: dict[str, Any] = {"role": part(said, "role")}
    for name in ("function_call", "tool_calls"):
        if (value := part(said, name)) is not None:
            shown[name] = value
    shown["content"] = part(said, "content")
    for name in ("refusal", "audio"):
        if (value := part(said, name)) is not None:
            shown[name] = value
    return shown


def _chat(response: Any) -> Any:
    shown = [message(part(choice, "message")) for choice in part(response, "choices") or ()]
    return shown if len(shown) > 1 else shown[0] if shown else None


def _completion(response: Any) -> Any:
    choices = part(response, "choices")
    return part(choices[-1], "text") if choices else None


def items(output: Any) -> Any:
    """The items of an answer of the Responses API; a single one stands alone."""
    if not isinstance(output, list):
        return output
    return output if len(output) > 1 else output[0] if output else None


def _embedding(response: Any) -> Any:
    data = part(response, "data")
    if not data:
        return None
    vector = part(data[0], "embedding")
    return {"dimensions": len(vector) if vector else 0, "count": len(data)}


def response_metadata(response: Any) -> dict[str, Any]:
    """What else an answer of the Responses API says of itself."""
    return {key: value for key, value in members(response).items() if key not in _NO_METADATA}


_OUTPUT = {
    "chat": _chat,
    "completion": _completion,
    "responses": lambda response: items(part(response, "output")),
    "embedding": _embedding,
}
