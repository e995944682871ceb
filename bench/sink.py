"""A receiver that costs next to nothing: it answers at once, keeps what came, and reads it when the run is over.

The collector parses and stores each observation before it answers, which takes longer than sending one; a bench of the
sender that waited for it would measure the collector.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from bench.words import Sum

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"


class Sink:
    """Listens on a free port, in a thread of its own."""

    def __init__(self) -> None:
        self._bodies: dict[str, list[tuple[bool, bytearray]]] = defaultdict(list)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def contents(self, public_key: str) -> Iterator[tuple[Any, Any]]:
        """The input and the output of every observation that came with this key."""
        for packed, body in self._bodies[public_key]:
            content = gzip.decompress(body) if packed else bytes(body)
            for found in _json(content) if content[:1] == b"{" else _protobuf(content):
                yield tuple(json.loads(found[f"langfuse.observation.{side}"]) for side in ("input", "output"))

    def forget(self, public_key: str) -> None:
        """Gives back the memory of what came with this key."""
        self._bodies.pop(public_key, None)

    def expect(self, public_key: str, figures: dict[str, Any]) -> None:
        """Ends the bench where what arrived with this key is not what was sent, by content (`count` and `hash`)."""
        arrived = Sum()
        for given, returned in self.contents(public_key):
            arrived.add(given, returned)
        if (arrived.count, str(arrived)) != (figures["count"], figures["hash"]):
            raise SystemExit(
                f"{public_key}: sent {figures['count']} observations, {arrived.count} arrived or their content differs"
            )

    def stop(self) -> None:
        """Takes no more."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """Reads each body straight into its own memory: copying it about would be measured too."""
        rest = b""
        with connection, contextlib.suppress(ConnectionError):
            while True:
                while b"\r\n\r\n" not in rest:
                    read = connection.recv(65536)
                    if not read:
                        return
                    rest += read
                head, _, rest = rest.partition(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")[1:]
                fields = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
                if fields.get("transfer-encoding") == "chunked":
                    body, rest = _chunked(connection, rest)
                else:
                    body, rest = _sized(connection, rest, int(fields.get("content-length", 0)))
                key = base64.b64decode(fields["authorization"].split()[1]).decode().split(":")[0]
                self._bodies[key].append((fields.get("content-encoding") == "gzip", body))
                connection.sendall(ANSWER)


def _sized(connection: socket.socket, rest: bytes, length: int) -> tuple[bytearray, bytes]:
    body = bytearray(length)
    have = min(len(rest), length)
    body[:have], rest = rest[:have], rest[have:]
    view = memoryview(body)
    while have < length:
        read = connection.recv_into(view[have:])
        if not read:
            raise ConnectionError("closed within a body")
        have += read
    return body, rest


def _chunked(connection: socket.socket, rest: bytes) -> tuple[bytearray, bytes]:
    """The way in which Node sends a body that it pipes."""
    body = bytearray()
    while True:
        while b"\r\n" not in rest:
            rest += _more(connection)
        size, _, rest = rest.partition(b"\r\n")
        part, rest = _sized(connection, rest, int(size, 16) + 2)
        body += part[:-2]
        if len(part) == 2:
            return body, rest


def _more(connection: socket.socket) -> bytes:
    read = connection.recv(65536)
    if not read:
        raise ConnectionError("closed within a body")
    return read


def _protobuf(content: bytes) -> Iterator[dict[str, str]]:
    # Comes with the langfuse SDK: neither library's encoder is read back by itself.
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    for resource in ExportTraceServiceRequest.FromString(content).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield {attribute.key: attribute.value.string_value for attribute in span.attributes}


def _json(content: bytes) -> Iterator[dict[str, str]]:
    for resource in json.loads(content)["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield {attribute["key"]: attribute["value"].get("stringValue", "") for attribute in span["attributes"]}
