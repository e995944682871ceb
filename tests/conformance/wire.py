"""A receiver that keeps requests as they came, and what they say decoded by the protocol's own definitions."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TRACES = "/api/public/otel/v1/traces"
SCORES = "/api/public/scores"
INGESTION = "/api/public/ingestion"
ANSWERS: dict[tuple[str, str], tuple[int, str, bytes]] = {
    ("POST", TRACES): (200, "application/x-protobuf", b""),
    ("POST", SCORES): (202, "application/json", b'{"message":"Accepted"}'),
    ("POST", INGESTION): (207, "application/json", b'{"successes":[],"errors":[]}'),
    ("GET", "/api/public/health"): (200, "application/json", b'{"status":"OK","version":"4.60.0"}'),
    ("GET", "/api/public/projects"): (
        200,
        "application/json",
        b'{"data":[{"id":"project-1","name":"p","organization":{"id":"o","name":"o"},"metadata":{}}]}',
    ),
}


@dataclass(frozen=True)
class Request:
    """One request of one program."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Wire:
    """A server on a free port; what comes is kept by the first two segments of its path: library and program."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str], list[Request]] = defaultdict(list)
        kept = self.requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                _, library, program, rest = self.path.split("/", 3)
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                path = f"/{rest.partition('?')[0]}"
                kept[library, program].append(Request(self.command, path, headers, body))
                status, kind, answer = ANSWERS.get((self.command, path), (404, "application/json", b"{}"))
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_PATCH = do_PUT = do_GET

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Listens no more."""
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Span:
    """A span as it was sent, and the project that it was sent to."""

    project: str
    trace_id: str
    span_id: str
    parent: str
    name: str
    start: int
    end: int
    rest: dict[str, Any]
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: dict[str, Any]


@dataclass
class Sent:
    """All that a program sent."""

    spans: list[Span] = field(default_factory=list)
    scores: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    transport: dict[str, dict[str, str]] = field(default_factory=dict)


_HEADERS = ("content-type", "content-encoding")


def decode(requests: list[Request]) -> Sent:
    """What the requests of one program say."""
    sent = Sent()
    for request in requests:
        project = base64.b64decode(request.headers["authorization"].split()[1]).decode().split(":")[0] if "authorization" in request.headers else ""
        shown = {name: value for name, value in request.headers.items() if name in _HEADERS or name.startswith("x-langfuse")}
        sent.transport.setdefault(f"{request.method} {request.path} of {project}", {}).update(shown)
        body = gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
        if request.path == TRACES:
            sent.spans.extend(_spans(project, body))
        elif request.path == SCORES:
            sent.scores.extend((project, score) for score in json.loads(body))
        elif request.path == INGESTION:
            sent.scores.extend((project, event["body"]) for event in json.loads(body)["batch"])
    return sent


def _spans(project: str, body: bytes) -> list[Span]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    found = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                keys = [attribute.key for attribute in span.attributes]
                rest = {
                    "kind": span.kind,
                    "flags": span.flags,
                    "trace state": span.trace_state,
                    "status": {"code": span.status.code, "message": span.status.message},
                    "events": [[event.name, _attributes(event.attributes)] for event in span.events],
                    "links": len(span.links),
                    "keys that came twice": sorted({key for key in keys if keys.count(key) > 1}),
                    "ends before it starts": span.end_time_unix_nano < span.start_time_unix_nano,
                }
                found.append(
                    Span(
                        project,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.name,
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                        rest,
                        _attributes(span.attributes),
                        _attributes(resource.resource.attributes),
                        {"name": scope.scope.name, "version": scope.scope.version}
                        | {f"attribute {key}": value for key, value in _attributes(scope.scope.attributes).items()},
                    )
                )
    return found


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return None if kind is None else getattr(value, kind)
