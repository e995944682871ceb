"""Finished observations as spans of OpenTelemetry's, for filters, masks and exporters of the application's own.

A view is light and needs no OpenTelemetry; `readable` makes the SDK's own `ReadableSpan` of it.
"""

from __future__ import annotations

from tracespool import _native

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from typing import Any

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

_SCOPE = "langfuse-sdk"
"""What Langfuse's own spans are called; filters that were written for them work here too."""


class _Scope:
    __slots__ = ("attributes", "name", "schema_url", "version")

    def __init__(self, public_key: str) -> None:
        self.name = _SCOPE
        self.version = _native.__version__
        self.schema_url = ""
        self.attributes = {"public_key": public_key}


class _Context:
    __slots__ = ("is_remote", "is_valid", "span_id", "trace_flags", "trace_id", "trace_state")

    def __init__(self, trace_id: int, span_id: int) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.is_remote = False
        self.is_valid = True
        self.trace_flags = 1
        self.trace_state: dict[str, str] = {}


class _Status:
    __slots__ = ("code", "description")

    def __init__(self, code: int, description: str) -> None:
        self.code = code
        self.description = description or None

    @property
    def is_ok(self) -> bool:
        return self.code != 2


class _Resource:
    __slots__ = ("attributes", "schema_url")

    def __init__(self) -> None:
        self.attributes: dict[str, str] = {}
        self.schema_url = ""


class View:
    """Looks like a `ReadableSpan` as far as filters look."""

    events: tuple[Any, ...] = ()
    links: tuple[Any, ...] = ()
    resource = _Resource()

    def __init__(self, fields: tuple[Any, ...], public_key: str) -> None:
        name, trace_id, span_id, parent, kind, start, end, status, message, attributes = fields
        self.name: str = name
        self.context = _Context(trace_id, span_id)
        self.parent = _Context(trace_id, parent) if parent else None
        self.kind = kind - 1
        self.start_time: int = start
        self.end_time: int = end
        self.status = _Status(status, message)
        self.attributes: dict[str, Any] = attributes
        self.instrumentation_scope = _Scope(public_key)

    def get_span_context(self) -> _Context:
        return self.context


def view(held: _native.Held, public_key: str) -> View:
    """A finished observation as filters see it."""
    fields = held.read()
    if fields is None:
        raise ValueError("the span has been handed over already")
    return View(fields, public_key)


def readable(held: _native.Held, public_key: str, original: Any = None) -> ReadableSpan:
    """The SDK's own span: of a finished observation, or of another tracer's span with the attributes that it has now."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    seen = view(held, public_key)
    if original is not None:
        return ReadableSpan(
            name=original.name,
            context=original.context,
            parent=original.parent if seen.parent is not None else None,
            resource=original.resource,
            attributes=seen.attributes,
            events=original.events,
            links=original.links,
            kind=original.kind,
            status=original.status,
            start_time=original.start_time,
            end_time=original.end_time,
            instrumentation_scope=original.instrumentation_scope,
        )
    sampled = TraceFlags(TraceFlags.SAMPLED)

    def context(of: _Context) -> SpanContext:
        return SpanContext(of.trace_id, of.span_id, False, sampled)

    scope = seen.instrumentation_scope
    failed = seen.status.code == 2
    return ReadableSpan(
        name=seen.name,
        context=context(seen.context),
        parent=None if seen.parent is None else context(seen.parent),
        resource=_resource(),
        attributes=seen.attributes,
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, seen.status.description) if failed else Status(StatusCode.UNSET),
        start_time=seen.start_time,
        end_time=seen.end_time,
        instrumentation_scope=InstrumentationScope(scope.name, scope.version, attributes=scope.attributes),
    )


_made: list[Resource] = []


def _resource() -> Resource:
    """What the core says too."""
    if not _made:
        _made.append(resource("tracespool", _native.__version__))
    return _made[0]


def resource(sdk: str, version: str) -> Resource:
    """This process, as an SDK sees it. `Resource.create` would start threads, which an interpreter on its way out refuses."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    named = Resource(
        {
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": sdk,
            "telemetry.sdk.version": version,
            "service.name": "unknown_service:python",
        }
    )
    return named.merge(OTELResourceDetector().detect())
