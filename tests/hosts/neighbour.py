"""What Sentry and Datadog report to: a server that takes everything and remembers what it was."""

from __future__ import annotations

import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT = 15.0


class Neighbour:
    """Listens on a free port and keeps the bodies by path."""

    def __init__(self) -> None:
        self.received: list[tuple[str, bytes]] = []
        neighbour = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _take(self) -> None:
                if self.headers.get("transfer-encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                neighbour.received.append((self.path, body))
                answer = b"{}"
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_PUT = do_GET = _take

            def log_message(self, *_: Any) -> None:
                return None

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """Connections end with the process that made them."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def bodies(self, part: str) -> list[bytes]:
        """What came to paths with this in them."""
        return [body for path, body in self.received if part in path]

    def heard(self, part: str, text: bytes) -> bool:
        """Whether this text came to such a path, within some seconds: they send at intervals of their own."""
        deadline = time.monotonic() + WAIT
        while not any(text in body for body in self.bodies(part)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return any(text in body for body in self.bodies(part))

    def stop(self) -> None:
        """Takes no more."""
        self._server.shutdown()
        self._server.server_close()
