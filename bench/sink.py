"""A receiver that costs next to nothing: it answers at once, keeps what came, and reads it when the run is over.

The collector parses and stores each observation before it answers, which takes longer than sending one; a bench of the
sender that waited for it would measure the collector.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

START_TIMEOUT = 10.0


class Sink:
    """Listens on a free port, in a thread of its own."""

    def __init__(self) -> None:
        self._bodies: dict[str, list[tuple[bool, bytes]]] = defaultdict(list)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        if not self._ready.wait(START_TIMEOUT):
            raise SystemExit("the sink did not start")

    def contents(self, public_key: str) -> Iterator[tuple[Any, Any]]:
        """The input and the output of every observation that came with this key."""
        # Comes with the langfuse SDK: neither library's encoder is read back by itself.
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        for packed, body in self._bodies[public_key]:
            request = ExportTraceServiceRequest.FromString(gzip.decompress(body) if packed else body)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        found = {a.key: a.value.string_value for a in span.attributes}
                        yield tuple(json.loads(found[f"langfuse.observation.{side}"]) for side in ("input", "output"))

    def stop(self) -> None:
        """Takes no more."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        # The body of a whole batch fits into the reader's buffer.
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 24))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                fields = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                key = base64.b64decode(fields["authorization"].split()[1]).decode().split(":")[0]
                self._bodies[key].append((fields.get("content-encoding") == "gzip", body))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
