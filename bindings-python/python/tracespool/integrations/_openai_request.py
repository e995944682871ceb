"""What a call to the OpenAI package says of its observation: arguments of our own, the input and the model's parameters."""

from __future__ import annotations

import inspect
import math
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Arguments of the wrapper; the OpenAI package never sees them.
OURS = ("name", "metadata", "langfuse_prompt", "langfuse_public_key", "trace_id", "parent_observation_id")
_WITH_MESSAGES = ("functions", "function_call", "tools")
_WITH_INPUT = ("tools", "tool_choice", "parallel_tool_calls")
_SCHEMAS = ("response_format", "text_format")
# What the API takes where nothing is said; Langfuse's SDK shows them.
_DEFAULTS = (
    ("temperature", 1),
    ("max_tokens", math.inf),
    ("top_p", 1),
    ("frequency_penalty", 0),
    ("presence_penalty", 0),
)


def given(arguments: dict[str, Any], name: str, default: Any = None) -> Any:
    """An argument, `default` where it is absent or one of the package's marks for "not given"."""
    value = arguments.get(name, default)
    return default if _unset(value) else value


def _unset(value: Any) -> bool:
    kind = type(value)
    return kind.__name__ in ("NotGiven", "Omit") and kind.__module__.split(".")[0] == "openai"


def take(arguments: dict[str, Any]) -> dict[str, Any]:
    """Takes our arguments out of a call's. Metadata goes on to OpenAI where the call asks OpenAI to keep it (`store`)."""
    ours = {name: arguments.pop(name) for name in OURS if name in arguments}
    if arguments.get("store") is True and isinstance(ours.get("metadata"), dict):
        arguments["metadata"] = ours["metadata"]
    for name in ("messages", "input"):
        # An iterator can be read once only: it is read here, and the package gets what it held.
        value = arguments.get(name)
        if hasattr(value, "__next__"):
            arguments[name] = list(value)
    return ours


def metadata(ours: dict[str, Any], arguments: dict[str, Any]) -> Any:
    """The call's metadata and the schema that the answer has to follow."""
    said = ours.get("metadata")
    if _unset(said):
        said = None
    if said is not None and not isinstance(said, dict):
        said = said.model_dump() if hasattr(said, "model_dump") else None
    schemas = {name: _schema(value) for name in _SCHEMAS if (value := given(arguments, name)) is not None}
    return {**(said or {}), **schemas} if schemas else said


def _schema(value: Any) -> Any:
    if inspect.isclass(value):
        schema = getattr(value, "model_json_schema", None)
        return schema() if schema is not None else value.__name__
    return value


def input_of(kind: str, arguments: dict[str, Any]) -> Any:
    """What the model is asked."""
    if kind == "completion":
        return given(arguments, "prompt")
    if kind == "embedding":
        return given(arguments, "input")
    if kind == "responses":
        return _responses_input(arguments)
    messages = given(arguments, "messages", [])
    more = {name: value for name in _WITH_MESSAGES if (value := given(arguments, name)) is not None}
    return {**more, "messages": messages} if more else messages


def _responses_input(arguments: dict[str, Any]) -> Any:
    asked, instructions = given(arguments, "input"), given(arguments, "instructions")
    if instructions is not None:
        system = {"role": "system", "content": instructions}
        if asked is None:
            asked = {"instructions": instructions}
        elif isinstance(asked, str):
            asked = [system, {"role": "user", "content": asked}]
        elif isinstance(asked, list):
            asked = [system, *asked]
        else:
            asked = {"instructions": instructions, "input": asked}
    more = {name: value for name in _WITH_INPUT if (value := given(arguments, name)) is not None}
    if not more:
        return asked
    if isinstance(asked, dict) and asked.keys() <= {"instructions", "input"}:
        return {**asked, **more}
    return more if asked is None else {"input": asked, **more}


def parameters(kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The model's parameters, with the API's defaults."""
    if kind == "embedding":
        said = {"dimensions": given(arguments, "dimensions"), "encoding_format": given(arguments, "encoding_format")}
        return {name: value for name, value in said.items() if value is not None and value != "float"}
    said = {name: given(arguments, name, default) for name, default in _DEFAULTS}
    if (most := given(arguments, "max_completion_tokens")) is not None:
        del said["max_tokens"]
        said["max_completion_tokens"] = most
    if isinstance(choices := given(arguments, "n"), int) and choices > 1:
        said["n"] = choices
    more = {"seed": given(arguments, "seed"), "service_tier": given(arguments, "service_tier")}
    if kind == "responses":
        reasoning, text = given(arguments, "reasoning"), given(arguments, "text")
        more["reasoning_effort"] = _part(reasoning, "effort")
        more["reasoning_summary"] = _part(reasoning, "summary")
        more["verbosity"] = _part(text, "verbosity")
        more["max_output_tokens"] = given(arguments, "max_output_tokens")
        if more["max_output_tokens"] is not None:
            said.pop("max_tokens", None)
    else:
        more["reasoning_effort"] = given(arguments, "reasoning_effort")
        more["verbosity"] = given(arguments, "verbosity")
    said.update((name, value) for name, value in more.items() if value is not None and not _unset(value))
    return said


def _part(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def raw_mode(arguments: dict[str, Any]) -> str | None:
    """How the package's `with_raw_response` ("true") and `with_streaming_response` ("stream") mark their calls."""
    headers = arguments.get("extra_headers")
    if not headers or _unset(headers):
        return None
    constants = sys.modules.get("openai._constants")
    try:
        mode = headers.get(getattr(constants, "RAW_RESPONSE_HEADER", "X-Stainless-Raw-Response"))
    except AttributeError:
        return None
    return mode if isinstance(mode, str) else None
