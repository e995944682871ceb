"""Spans of other instrumentation (OpenInference, OpenLLMetry, anything of OpenTelemetry's) into one client of yours.

    from opentelemetry.sdk.trace import TracerProvider
    from tracespool.otel import TracespoolSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(TracespoolSpanProcessor(client))

Needs `opentelemetry-sdk`. See docs/opentelemetry.md.
"""

from __future__ import annotations

import os
import threading
import time
import weakref

from opentelemetry.sdk.trace import SpanProcessor

from tracespool import _native

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from typing import Any

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from tracespool import Client

__all__ = ["TracespoolSpanProcessor", "attach"]

_SHUTDOWN = 3.0
"""Seconds that the processors of a provider have to send what is pending when it is shut down."""
_spent, _last = 0.0, float("-inf")
"""What a row of shutdowns has taken of that, and when its last one was over."""


class TracespoolSpanProcessor(SpanProcessor):
    """Sends finished spans to one client, and to no other.

    A span is kept as its instrumentation made it: ids, parent, times, attributes, events, links, status, scope and
    resource. It is stamped with the client's environment and release and with what `propagate_attributes` says where it
    starts; the span itself, which other processors see too, stays as it is. Which spans go out is for the client's
    `should_export_span`, by default for `tracespool.span_filter.is_default_export_span`. Nothing here waits or raises; what
    does not fit is dropped and counted (`tracespool.stats()`).
    """

    def __init__(self, client: Client) -> None:
        global _latest
        self._bind(client)
        _own[_identity(client)] = self
        _latest = object()

    @classmethod
    def _unlisted(cls, client: Client) -> TracespoolSpanProcessor:
        """One that the application has not asked for."""
        processor = cls.__new__(cls)
        processor._bind(client)
        return processor

    def _bind(self, client: Client) -> None:
        self.client = client
        intake = _native.Intake(client)
        self._started = intake.started
        self._ended = intake.ended

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self._started(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        self._ended(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Sends what this client has pending; true where all of it arrived in time."""
        return bool(self.client.flush(timeout_millis / 1000)["complete"])

    def shutdown(self) -> None:
        """Sends what this client has pending. The client works on. A provider shuts its processors down one after the other:
        they have 3 s together, however many clients it serves. While the process exits nothing waits here: the goodbye has
        one deadline for all clients.
        """
        global _spent, _last
        if not threading.main_thread().is_alive() and os.environ.get("TRACESPOOL_ATEXIT") != "0":
            return
        began = time.monotonic()
        if began > _last + 1.0:
            _spent = 0.0
        try:
            self.client.flush(max(0.0, _SHUTDOWN - _spent))
        finally:
            _last = time.monotonic()
            _spent += _last - began


_own: weakref.WeakValueDictionary[tuple[Any, ...], TracespoolSpanProcessor] = weakref.WeakValueDictionary()
"""The latest processor that the application has made for each destination."""
_latest = object()


def latest() -> object:
    """Another object whenever the application has made a processor."""
    return _latest


def is_attached(client: Client) -> bool:
    """Whether the application has a processor of this client's destination."""
    return _identity(client) in _own


def _identity(client: Client) -> tuple[Any, ...]:
    if client.otlp_endpoint is not None:  # tenants of such a backend are told apart by headers
        return (client.otlp_endpoint, client.public_key, client.dialect, *client._headers)
    return (client.base_url, client.public_key)


_attached: weakref.WeakKeyDictionary[Any, dict[tuple[Any, ...], TracespoolSpanProcessor]] = weakref.WeakKeyDictionary()


def attach(provider: Any, client: Client) -> TracespoolSpanProcessor:
    """Attaches a processor of this client to a provider, once: another client of the same keys takes the processor over,
    since providers let none go. What `Client(tracer_provider=...)` does."""
    processors = _attached.setdefault(provider, {})
    key = _identity(client)
    processor = processors.get(key)
    if processor is None:
        processor = processors[key] = TracespoolSpanProcessor(client)
        provider.add_span_processor(processor)
    else:
        processor.__init__(client)  # type: ignore[misc]
    return processor
