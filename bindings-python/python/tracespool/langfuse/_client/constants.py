"""Names and types of observation kinds."""

from __future__ import annotations

from typing import Any, Literal, Union, get_args

LANGFUSE_TRACER_NAME = "langfuse-sdk"
LANGFUSE_SDK_EXPERIMENT_ENVIRONMENT = "sdk-experiment"
MASK_FALLBACK_VALUE = "<fully masked due to failed mask function>"

ObservationTypeGenerationLike = Literal["generation", "embedding"]
ObservationTypeSpanLike = Literal["span", "agent", "tool", "chain", "retriever", "evaluator", "guardrail"]
ObservationTypeLiteralNoEvent = Union[ObservationTypeGenerationLike, ObservationTypeSpanLike]
ObservationTypeLiteral = Union[ObservationTypeLiteralNoEvent, Literal["event"]]


def get_observation_types_list(literal_type: Any) -> list[str]:
    """The words of a `Literal`, or of a union of them."""
    words: list[str] = []
    for argument in get_args(literal_type):
        words.extend(get_observation_types_list(argument) if get_args(argument) else [argument])
    return words
