"""The types of `langfuse.types`: for annotations, and for functions that mask spans of other libraries before export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Optional, Protocol, TypedDict, Union

from tracespool.langfuse import _fallthrough

AttributeValue = Union[str, bool, int, float, Sequence[str], Sequence[bool], Sequence[int], Sequence[float]]
SpanLevel = Literal["DEBUG", "DEFAULT", "WARNING", "ERROR"]
ScoreDataType = Literal["NUMERIC", "CATEGORICAL", "BOOLEAN", "TEXT", "CORRECTION"]
ExperimentScoreType = Literal["NUMERIC", "CATEGORICAL", "BOOLEAN"]


class MaskFunction(Protocol):
    """What `Langfuse(mask=...)` takes: gets a value and returns what may be sent in its place."""

    def __call__(self, *, data: Any, **kwargs: dict[str, Any]) -> Any: ...


@dataclass(frozen=True)
class OtelSpanIdentifier:
    """Names one span of a batch, by lower-case hexadecimal ids."""

    trace_id: str
    span_id: str


@dataclass(frozen=True)
class OtelSpanData:
    """A span as it is about to be exported; for reading only."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    instrumentation_scope_name: str | None
    instrumentation_scope_version: str | None
    attributes: Mapping[str, AttributeValue]
    resource_attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True)
class MaskOtelSpansParams:
    """One export batch."""

    spans: Mapping[OtelSpanIdentifier, OtelSpanData]


@dataclass(frozen=True)
class OtelSpanPatch:
    """What to change about a span's attributes: first the deletions, then what is set."""

    set_attributes: Mapping[str, AttributeValue] = field(default_factory=lambda: MappingProxyType({}))
    delete_attributes: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class MaskOtelSpansResult:
    """The patches of a batch; a span without one goes out as it is."""

    span_patches: Mapping[OtelSpanIdentifier, Optional[OtelSpanPatch]] = field(default_factory=lambda: MappingProxyType({}))


class MaskOtelSpansFunction(Protocol):
    """What `Langfuse(mask_otel_spans=...)` takes."""

    def __call__(self, *, params: MaskOtelSpansParams) -> MaskOtelSpansResult | None: ...


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
