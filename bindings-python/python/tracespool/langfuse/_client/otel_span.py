"""An observation as an OpenTelemetry span, for programs that reach for `observation._otel_span` or `client._otel_tracer`.

Works without opentelemetry: that package's own classes are used only where the program has loaded them.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from tracespool._native import Client, Observation, Scope


class SpanContext:
    """A span's ids, as numbers; stands in for OpenTelemetry's where that is not loaded."""

    __slots__ = ("is_remote", "span_id", "trace_flags", "trace_id", "trace_state")

    def __init__(self, trace_id: int, span_id: int, is_remote: bool, trace_flags: int = 1) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.is_remote = is_remote
        self.trace_flags = trace_flags
        self.trace_state: dict[str, str] = {}

    @property
    def is_valid(self) -> bool:
        """Whether both ids are set."""
        return self.trace_id != 0 and self.span_id != 0


class OtelSpan:
    """A view on an observation with the methods of an OpenTelemetry span."""

    __slots__ = ("observation",)

    def __init__(self, observation: Observation) -> None:
        self.observation = observation

    def get_span_context(self) -> Any:
        """Its ids."""
        ids = int(self.observation.trace_id, 16), int(self.observation.id, 16)
        trace = sys.modules.get("opentelemetry.trace")
        if trace is None:
            return SpanContext(*ids, is_remote=False)
        return trace.SpanContext(*ids, is_remote=False, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED))

    @property
    def context(self) -> Any:
        """The same."""
        return self.get_span_context()

    def is_recording(self) -> bool:
        """True while values can be added."""
        return self.observation.is_recording

    def set_attribute(self, key: str, value: Any) -> None:
        """See `Observation.set_attribute`."""
        self.observation.set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Sets each."""
        for key, value in attributes.items():
            self.observation.set_attribute(key, value)

    def update_name(self, name: str) -> None:
        """Renames it."""
        self.observation.update(name=name)

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """An event below it: servers do not show the events of a span."""
        self.observation.create_event(name=name, metadata=dict(attributes) if attributes else None)

    def add_link(self, context: Any, attributes: Mapping[str, Any] | None = None) -> None:
        """Links are not sent: servers do not read them."""

    def set_status(self, status: Any, description: str | None = None) -> None:
        """An error becomes its level and message; anything else changes nothing."""
        code = getattr(status, "status_code", status)
        if getattr(code, "name", code) == "ERROR":
            message = description if description is not None else getattr(status, "description", None)
            self.observation.update(level="ERROR", status_message=message)

    def record_exception(self, exception: BaseException, *_: Any, **__: Any) -> None:
        """Its level and message."""
        self.observation.update(level="ERROR", status_message=str(exception) or type(exception).__name__)

    def end(self, end_time: int | None = None) -> None:
        """Ends it, at `end_time` in nanoseconds since 1970."""
        self.observation.end(end_time=end_time)

    def __enter__(self) -> OtelSpan:
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self.observation.__exit__(kind, error, traceback)


class _CurrentSpan:
    """A block whose span is the current one."""

    __slots__ = ("attributes", "scope")

    def __init__(self, scope: Scope, attributes: Mapping[str, Any] | None) -> None:
        self.scope = scope
        self.attributes = attributes

    def __enter__(self) -> OtelSpan:
        span = OtelSpan(self.scope.__enter__())
        span.set_attributes(self.attributes or {})
        return span

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self.scope.__exit__(kind, error, traceback)


class OtelTracer:
    """A client as an OpenTelemetry tracer: its spans are observations of that client."""

    __slots__ = ("client",)

    def __init__(self, client: Client) -> None:
        self.client = client

    def start_span(self, name: str, context: Any = None, kind: Any = None, attributes: Mapping[str, Any] | None = None, *_: Any, **__: Any) -> OtelSpan:
        """Starts an observation; `context` may be an OpenTelemetry context with a span in it."""
        span = OtelSpan(self.client.start_observation(name=name, trace_context=_parent(context)))
        span.set_attributes(attributes or {})
        return span

    def start_as_current_span(
        self, name: str, context: Any = None, kind: Any = None, attributes: Mapping[str, Any] | None = None, *_: Any, end_on_exit: bool = True, **__: Any
    ) -> _CurrentSpan:
        """The same as a block."""
        scope = self.client.start_as_current_observation(name=name, trace_context=_parent(context), end_on_exit=end_on_exit)
        return _CurrentSpan(scope, attributes)


def _parent(context: Any) -> Any:
    trace = sys.modules.get("opentelemetry.trace")
    if context is None or trace is None:
        return None
    return trace_context(trace.get_current_span(context))


def trace_context(span: Any) -> Any:
    """Where an OpenTelemetry span is, as `trace_context` takes it; None for no span or an invalid one."""
    read = getattr(span, "get_span_context", None)
    context = read() if read is not None else None
    if context is None or not context.is_valid:
        return None
    return {"trace_id": f"{context.trace_id:032x}", "parent_span_id": f"{context.span_id:016x}"}
