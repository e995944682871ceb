"""What the native module uses of OpenTelemetry's context; imported once the application has imported OpenTelemetry."""

from __future__ import annotations

from contextvars import ContextVar

from opentelemetry import context as _context
from opentelemetry.baggage import set_baggage
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from opentelemetry.trace import Span

    from tracespool._native import Observation

__all__ = ["BAGGAGE_KEY", "SPAN_KEY", "Context", "ObservationSpan", "attach", "get_current", "new", "remote_span"]

# The keys are private there; what is stored under them is not.
SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))
BAGGAGE_KEY = next(iter(set_baggage("a", "b", Context())))

attach: Callable[[Context], Any] = _context.attach
get_current: Callable[[], Context] = _context.get_current
# The variable behind these two: the same in a third of the time. Where it is something else, they are called themselves.
_variable = getattr(getattr(_context, "_RUNTIME_CONTEXT", None), "_current_context", None)
if isinstance(_variable, ContextVar):
    attach, get_current = _variable.set, _variable.get

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class ObservationSpan(NonRecordingSpan):
    """What an observation is for OpenTelemetry: a span that records nothing and has the observation's ids.

    Its sampled flag is that of the span around it, so that another tracer's decision goes on below; without one it is set.
    """

    # The native module makes these without `__init__`: it sets `observation`, and `around` where there is a span around it.
    observation: Observation
    around: Span | None = None
    _made: SpanContext | None = None

    def get_span_context(self) -> SpanContext:
        made = self._made
        if made is None:
            observation = self.observation
            trace_id = int(observation.trace_id, 16)
            flags, state = _SAMPLED, None
            around = self.around
            if around is not None:
                outer = around.get_span_context()
                if outer.is_valid and outer.trace_id == trace_id:
                    flags, state = outer.trace_flags, outer.trace_state
                self.around = None
            made = self._made = SpanContext(trace_id, int(observation.id, 16), False, flags, state)
        return made

    def __init__(self) -> None:
        raise TypeError("made by the native module")

    def __repr__(self) -> str:
        return f"ObservationSpan({self.get_span_context()!r})"


new = object.__new__


def remote_span(trace_id: int, span_id: int, sampled: bool) -> NonRecordingSpan:
    """What a request's sender is for OpenTelemetry."""
    flags = _SAMPLED if sampled else TraceFlags(TraceFlags.DEFAULT)
    return NonRecordingSpan(SpanContext(trace_id, span_id, True, flags))
