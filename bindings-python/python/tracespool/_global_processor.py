"""The span processor on the global tracer provider; see `tracespool._global_provider`."""

from __future__ import annotations

import logging

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from tracespool import _native, _spans, otel

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from typing import Any

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from tracespool import Client

_log = logging.getLogger("tracespool")

_MAX_BEGUN = 8192
"""Spans under way that are remembered; beyond, the oldest is forgotten (it was never ended)."""


def attach(public_key: str | None) -> GlobalSpanProcessor | None:
    """Puts a processor onto the global provider; where the application has set none, a provider of the SDK's is."""
    provider: Any = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        from opentelemetry.sdk.version import __version__

        # `Resource.create`, which the provider would call, starts threads.
        trace.set_tracer_provider(TracerProvider(resource=_spans.resource("opentelemetry", __version__)))
        provider = trace.get_tracer_provider()
    if not hasattr(provider, "add_span_processor"):
        kind = type(provider)
        _log.warning(
            "the global tracer provider %s.%s takes no span processors: its spans are not recorded", kind.__module__, kind.__name__
        )
        return None
    processor = GlobalSpanProcessor(public_key)
    provider.add_span_processor(processor)
    return processor


class GlobalSpanProcessor(SpanProcessor):
    """Sends the global provider's spans to one client: that of `public_key`, else the default one, as it is when a span starts.

    Where there are several clients and none is named, nothing is recorded: whose it is cannot be known. A client that the
    application has attached to a provider itself gets its spans from there and from nowhere else.
    """

    def __init__(self, public_key: str | None) -> None:
        self._public_key = public_key
        self._off = self._warned = False
        self._bound: tuple[Client | None, object, otel.TracespoolSpanProcessor | None] = (None, None, None)
        self._begun: dict[int, otel.TracespoolSpanProcessor] = {}

    def point_to(self, choice: bool | str) -> None:
        """Another choice for the spans that start from now on: no client, the default one, or a public key's."""
        self._off = choice is False
        self._public_key = choice if isinstance(choice, str) else None
        self._bound = (None, None, None)

    def _target(self) -> otel.TracespoolSpanProcessor | None:
        if self._off:
            return None
        client: Any = _native.default_client(self._public_key)
        if client is None:
            if not self._warned:
                self._warned = True
                _log.warning(
                    "the global tracer provider's spans are not recorded: %s",
                    f"there is no client of the public key {self._public_key!r}"
                    if self._public_key
                    else "there are several clients, or none, and none is named (TRACESPOOL_GLOBAL_PROVIDER=<public key>)",
                )
            return None
        known, seen, target = self._bound
        latest = otel.latest()
        if known is not client or seen is not latest:
            target = None if otel.is_attached(client) else otel.TracespoolSpanProcessor._unlisted(client)
            self._bound = (client, latest, target)
        return target

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        target = self._target()
        if target is None:
            return
        target.on_start(span, parent_context)
        begun = self._begun
        begun[span.get_span_context().span_id] = target
        if len(begun) > _MAX_BEGUN:
            try:
                begun.pop(next(iter(begun)), None)
            except (RuntimeError, StopIteration):  # another thread adds or takes away
                return

    def on_end(self, span: ReadableSpan) -> None:
        # One that is not known here began when there was no client for it.
        target = self._begun.pop(span.get_span_context().span_id, None)  # type: ignore[union-attr]
        if target is not None:
            target.on_end(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Sends what the client has pending."""
        target = self._bound[2]
        return target is None or target.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """See `TracespoolSpanProcessor.shutdown`."""
        target = self._bound[2]
        if target is not None:
            target.shutdown()
