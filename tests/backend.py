"""An OTLP backend as the protocol describes one, and strict about it: what it takes, any backend takes."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

# No span of these tests is older or younger than a day, in nanoseconds.
DAY = 86_400 * 10**9


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    request: ExportTraceServiceRequest
    size: int


@dataclass
class Backend:
    """A server on a loopback port that decodes what it gets; `status` is what it answers."""

    status: int = 200
    requests: list[Received] = field(default_factory=list)

    def __enter__(self) -> Backend:
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                request = ExportTraceServiceRequest.FromString(body)
                headers = {name.lower(): value for name, value in self.headers.items()}
                backend.requests.append(Received(self.path, headers, request, len(body)))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(backend.status)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()

    def spans(self) -> list[Span]:
        """All spans, in the order in which they came."""
        return [span for received in self.requests for span in _spans(received.request)]

    def named(self, name: str) -> Span:
        """The one span of this name."""
        (span,) = [span for span in self.spans() if span.name == name]
        return span


def _spans(request: ExportTraceServiceRequest) -> Iterable[Span]:
    return (span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans)


def plain(value: AnyValue) -> Any:
    """An attribute's value as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(element) for element in value.array_value.values]
    return getattr(value, kind)


def attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes by key."""
    return {pair.key: plain(pair.value) for pair in pairs}


def check(request: ExportTraceServiceRequest, now: int) -> None:
    """Everything that the protocol and the specification of attributes ask of a request."""
    _known(request)
    seen: set[tuple[bytes, bytes]] = set()
    for resource_spans in request.resource_spans:
        _check_attributes(resource_spans.resource.attributes, "resource")
        assert attributes(resource_spans.resource.attributes)["service.name"]
        for scope_spans in resource_spans.scope_spans:
            assert scope_spans.scope.name and scope_spans.scope.version
            for span in scope_spans.spans:
                _check_span(span, now)
                assert (span.trace_id, span.span_id) not in seen
                seen.add((span.trace_id, span.span_id))


def _check_span(span: Span, now: int) -> None:
    assert len(span.trace_id) == 16 and any(span.trace_id)
    assert len(span.span_id) == 8 and any(span.span_id)
    assert span.parent_span_id == b"" or (len(span.parent_span_id) == 8 and any(span.parent_span_id))
    assert span.parent_span_id != span.span_id
    assert span.name
    assert now - DAY < span.start_time_unix_nano <= span.end_time_unix_nano < now + DAY
    assert span.kind in (Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_CLIENT)
    assert span.status.code in (Status.STATUS_CODE_UNSET, Status.STATUS_CODE_OK, Status.STATUS_CODE_ERROR)
    assert span.status.code == Status.STATUS_CODE_ERROR or not span.status.message
    _check_attributes(span.attributes, span.name)
    for event in span.events:
        assert event.name
        assert span.start_time_unix_nano <= event.time_unix_nano <= span.end_time_unix_nano
        _check_attributes(event.attributes, event.name)


def _check_attributes(pairs: Iterable[KeyValue], where: str) -> None:
    keys: set[str] = set()
    for pair in pairs:
        assert pair.key and pair.key == pair.key.strip(), where
        assert pair.key not in keys, f"{where}: {pair.key} is there twice"
        keys.add(pair.key)
        kind = pair.value.WhichOneof("value")
        assert kind in ("string_value", "bool_value", "int_value", "double_value", "array_value"), f"{where}: {pair.key}"
        if kind == "array_value":
            kinds = {element.WhichOneof("value") for element in pair.value.array_value.values}
            assert len(kinds) == 1 and kinds <= {"string_value", "bool_value", "int_value", "double_value"}, pair.key


def _known(message: Message) -> None:
    """Fields that the protocol does not have are a mistake in encoding."""
    assert len(UnknownFieldSet(message)) == 0, type(message).__name__
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            walk: Callable[[Any], Iterable[Any]] = (lambda value: value) if descriptor.is_repeated else (lambda value: [value])
            for inner in walk(value):
                _known(inner)
