"""A trace across processes: the headers `traceparent` and `baggage` (W3C Trace Context, W3C Baggage), without
OpenTelemetry.

    requests.post(url, headers=inject({}))                                     # here
    client.start_as_current_observation(name="work", trace_context=headers)    # there
    with continue_trace(headers): ...                                          # or for all that starts inside
    with propagate_attributes(**attributes(headers)): ...                      # and what was said `as_baggage`

`baggage` is sent only where `propagate_attributes(as_baggage=True)` asked for it, and read only by `attributes`. It can be
written by anybody who can send a request.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from tracespool import _native

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from typing import Any, TypeVar

    _M = TypeVar("_M", bound=MutableMapping[str, str])

__all__ = ["attributes", "continue_trace", "inject", "trace_context"]

_MAX_BYTES = 8192
"""Of one `baggage` header: section 3.3.2 of W3C Baggage."""
_MAX_ENTRIES = 180


def inject(headers: _M) -> _M:
    """Adds the headers by which the receiver goes on below what is current here. Outside of any observation, none."""
    outgoing = _native.outgoing()
    if outgoing is None:
        return headers
    traceparent, entries = outgoing
    headers["traceparent"] = traceparent
    baggage = [headers["baggage"]] if headers.get("baggage") else []
    size = sum(map(len, baggage))
    for name, value in entries:
        entry = f"{quote(name, safe='_-.')}={quote(value, safe='')}"
        size += len(entry) + 1
        if size <= _MAX_BYTES:
            baggage.append(entry)
    if baggage:
        headers["baggage"] = ",".join(baggage)
    return headers


def trace_context(headers: Mapping[str, str]) -> dict[str, str] | None:
    """The trace and span that a request's headers name, as observations take it; `None` where they name none."""
    parts = (_header(headers, "traceparent") or "").strip().split("-")
    if len(parts) < 4 or len(parts[1]) != 32 or len(parts[2]) != 16 or set(parts[1]) == {"0"}:
        return None
    return {"trace_id": parts[1], "parent_span_id": parts[2]}


def continue_trace(headers: Mapping[str, str]) -> _native.Block:
    """A block inside which observations that have none above them go on in the sender's trace, below the sender's span; no
    observation is made for it. Headers without a usable `traceparent` change nothing.
    """
    return _native.continue_trace(_header(headers, "traceparent") or "")


def attributes(headers: Mapping[str, str]) -> dict[str, Any]:
    """What the sender propagated `as_baggage`, as keywords of `propagate_attributes`."""
    entries = []
    for member in (_header(headers, "baggage") or "")[:_MAX_BYTES].split(",")[:_MAX_ENTRIES]:
        name, found, value = member.partition(";")[0].partition("=")
        if found:
            entries.append((unquote(name.strip()), unquote(value.strip().replace("+", " "))))
    return _native.from_baggage(entries)


def _header(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name)
    if value is None:
        value = next((value for key, value in headers.items() if key.lower() == name), None)
    return value
