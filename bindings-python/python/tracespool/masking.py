"""Types of `mask_otel_spans`: a function that changes the attributes of finished spans just before they are sent.

It is called with `params=MaskOtelSpansParams(...)` on a thread of its own and returns `MaskOtelSpansResult`, or `None` to
change nothing. Where it fails, the spans of that call go out without any content, and that is counted as `mask_failed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

__all__ = [
    "MaskOtelSpansFunction",
    "MaskOtelSpansParams",
    "MaskOtelSpansResult",
    "OtelSpanData",
    "OtelSpanIdentifier",
    "OtelSpanPatch",
]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class OtelSpanIdentifier:
    """Names a span: 32 and 16 lower-case hexadecimal digits."""

    trace_id: str
    span_id: str


@dataclass(frozen=True)
class OtelSpanData:
    """A finished span as it is about to be sent; its mappings cannot be changed."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    instrumentation_scope_name: str | None
    instrumentation_scope_version: str | None
    attributes: Mapping[str, Any]
    resource_attributes: Mapping[str, Any]


@dataclass(frozen=True)
class MaskOtelSpansParams:
    """Some spans of one client; not necessarily a whole trace."""

    spans: Mapping[OtelSpanIdentifier, OtelSpanData]


@dataclass(frozen=True)
class OtelSpanPatch:
    """Attributes to delete, and then attributes to set: text, numbers, booleans, or lists of one of these."""

    set_attributes: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    delete_attributes: Sequence[str] = ()


@dataclass(frozen=True)
class MaskOtelSpansResult:
    """Patches by span; a span without one is sent as it is."""

    span_patches: Mapping[OtelSpanIdentifier, OtelSpanPatch | None] = field(default_factory=lambda: MappingProxyType({}))


class MaskOtelSpansFunction(Protocol):
    """What `mask_otel_spans` takes."""

    def __call__(self, *, params: MaskOtelSpansParams) -> MaskOtelSpansResult | None: ...
