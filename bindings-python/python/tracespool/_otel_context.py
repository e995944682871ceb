"""What the native module uses of OpenTelemetry's context; imported once the application has imported OpenTelemetry."""

from __future__ import annotations

from opentelemetry.baggage import set_baggage
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from tracespool._native import Observation

__all__ = ["BAGGAGE_KEY", "SPAN_KEY", "Context", "ObservationSpan", "attach", "get_current"]

# The keys are private there; what is stored under them is not.
SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))
BAGGAGE_KEY = next(iter(set_baggage("a", "b", Context())))

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class ObservationSpan(NonRecordingSpan):
    """What an observation is for OpenTelemetry: a span that records nothing and has the observation's ids.

    Its sampled flag is that of the span around it, so that another tracer's decision goes on below; without one it is set.
    """

    def __init__(self, observation: Observation, around: Span | None) -> None:
        self.observation = observation
        self._around = around
        self._made: SpanContext | None = None

    def get_span_context(self) -> SpanContext:
        made = self._made
        if made is None:
            observation = self.observation
            trace_id = int(observation.trace_id, 16)
            flags, state = _SAMPLED, None
            if self._around is not None:
                outer = self._around.get_span_context()
                if outer.is_valid and outer.trace_id == trace_id:
                    flags, state = outer.trace_flags, outer.trace_state
                self._around = None
            made = self._made = SpanContext(trace_id, int(observation.id, 16), False, flags, state)
        return made

    def __repr__(self) -> str:
        return f"ObservationSpan({self.get_span_context()!r})"
