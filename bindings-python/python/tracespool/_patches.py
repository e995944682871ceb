"""Runs a `mask_otel_spans` over finished spans. One that fails leaves their shells, without content, and is counted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tracespool.masking import MaskOtelSpansParams, MaskOtelSpansResult, OtelSpanData, OtelSpanIdentifier, OtelSpanPatch

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from typing import Any

    from tracespool._native import Held

_log = logging.getLogger("tracespool")
_NO_ATTRIBUTES: Mapping[str, Any] = MappingProxyType({})


def apply(mask: Any, entries: list[tuple[Held, Any]]) -> None:
    """Masks the attributes of these spans in place. Of two with the same ids both get the same patch."""
    spans: dict[OtelSpanIdentifier, OtelSpanData] = {}
    holders: list[tuple[Held, OtelSpanIdentifier]] = []
    for held, original in entries:
        fields = held.read()
        if fields is not None:
            data = _data(fields, original)
            identifier = OtelSpanIdentifier(data.trace_id, data.span_id)
            spans[identifier] = data
            holders.append((held, identifier))
    patches = _ask(mask, spans)
    for held, identifier in holders:
        if patches is None or not _patch(held, patches.get(identifier)):
            held.strip()


def _ask(mask: Any, spans: dict[OtelSpanIdentifier, OtelSpanData]) -> Mapping[Any, Any] | None:
    """The patches; `None` where the mask failed. Any failure counts: what was to be masked must not go out."""
    try:
        result = mask(params=MaskOtelSpansParams(spans=MappingProxyType(dict(spans))))
        if result is None:
            return _NO_ATTRIBUTES
        patches = result.span_patches if _is(result, MaskOtelSpansResult) else None
        if isinstance(patches, Mapping):
            mine = {OtelSpanIdentifier(key.trace_id, key.span_id): patch for key, patch in patches.items()}
            if all(key in spans for key in mine):
                return mine
        _log.warning("mask_otel_spans gave no result of patches for its spans: %d spans lose their content", len(spans))
    except BaseException:
        _log.warning("mask_otel_spans failed: %d spans lose their content", len(spans), exc_info=True)
    return None


def _patch(held: Held, patch: Any) -> bool:
    if patch is None:
        return True
    try:
        if not _is(patch, OtelSpanPatch):
            return False
        added, without = patch.set_attributes, patch.delete_attributes
        if not isinstance(added, Mapping) or isinstance(without, (str, bytes)) or not isinstance(without, Sequence):
            return False
        wrong = held.patch([key for key in without if isinstance(key, str)], _named(added))
        if wrong:
            _log.warning("mask_otel_spans set what is no attribute's value: %s are left out", ", ".join(wrong)[:200])
    except Exception:
        _log.warning("a patch of mask_otel_spans cannot be used: the span loses its content", exc_info=True)
        return False
    return True


def _named(added: Mapping[Any, Any]) -> dict[str, Any]:
    return {key: value if _plain(value) else None for key, value in added.items() if isinstance(key, str) and key}


def _plain(value: Any) -> bool:
    if isinstance(value, (str, bool, int, float)):
        return True
    if not isinstance(value, (list, tuple)):
        return False
    return all(isinstance(item, (str, bool, int, float)) and type(item) is type(value[0]) for item in value)


def _is(value: Any, wanted: type) -> bool:
    """Also the type of the same name of Langfuse's SDK: a mask may be written against that."""
    return isinstance(value, wanted) or type(value).__name__ == wanted.__name__


def _data(fields: tuple[Any, ...], original: Any) -> OtelSpanData:
    from tracespool import _native

    name, trace_id, span_id, parent, _, _, _, _, _, attributes = fields
    scope_name: str | None = "langfuse-sdk"
    scope_version: str | None = _native.__version__
    resource: Mapping[str, Any] = _NO_ATTRIBUTES
    if original is not None:
        scope = original.instrumentation_scope
        scope_name, scope_version = (None, None) if scope is None else (scope.name, scope.version)
        resource = MappingProxyType(dict(original.resource.attributes or {}))
    return OtelSpanData(
        trace_id=f"{trace_id:032x}",
        span_id=f"{span_id:016x}",
        parent_span_id=f"{parent:016x}" if parent else None,
        name=name,
        instrumentation_scope_name=scope_name,
        instrumentation_scope_version=scope_version,
        attributes=MappingProxyType(attributes),
        resource_attributes=resource,
    )
