"""The types of `langfuse.types`: for annotations, and for functions that mask spans of other libraries before export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypedDict, Union

from tracespool.langfuse import _fallthrough
from tracespool.masking import (
    MaskOtelSpansFunction,
    MaskOtelSpansParams,
    MaskOtelSpansResult,
    OtelSpanData,
    OtelSpanIdentifier,
    OtelSpanPatch,
)

AttributeValue = Union[str, bool, int, float, Sequence[str], Sequence[bool], Sequence[int], Sequence[float]]
SpanLevel = Literal["DEBUG", "DEFAULT", "WARNING", "ERROR"]
ScoreDataType = Literal["NUMERIC", "CATEGORICAL", "BOOLEAN", "TEXT", "CORRECTION"]
ExperimentScoreType = Literal["NUMERIC", "CATEGORICAL", "BOOLEAN"]


class MaskFunction(Protocol):
    """What `Langfuse(mask=...)` takes: gets a value and returns what may be sent in its place."""

    def __call__(self, *, data: Any, **kwargs: dict[str, Any]) -> Any: ...


class ParsedMediaReference(TypedDict):
    """The parts of a media reference."""

    media_id: str
    source: str
    content_type: str


class _Trace(TypedDict):
    trace_id: str


class TraceContext(_Trace, total=False):
    """A trace, and a parent in it, that an observation is to belong to; hexadecimal ids."""

    parent_span_id: str


__all__ = [
    "ExperimentScoreType",
    "MaskFunction",
    "MaskOtelSpansFunction",
    "MaskOtelSpansParams",
    "MaskOtelSpansResult",
    "OtelSpanData",
    "OtelSpanIdentifier",
    "OtelSpanPatch",
    "ParsedMediaReference",
    "ScoreDataType",
    "SpanLevel",
    "TraceContext",
]
__getattr__ = _fallthrough.names("types")
