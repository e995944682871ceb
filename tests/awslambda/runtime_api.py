"""AWS Lambda's runtime API as its documentation describes one: one event at a time, and a freeze at each answer's last byte.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

API = "/2018-06-01/runtime"


@dataclass
class Invocation:
    """One event and what became of it; times are seconds since it was handed out."""

    event: Any
    timeout: float
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    body: bytes = b""
    error: dict[str, Any] | None = None
    handed_out: float = 0.0
    first_byte: float = 0.0
    seconds: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)


class RuntimeApi:
    """The API on a loopback port. `frozen` is the process that stands still between two invocations, once it is known."""

    def __init__(self) -> None:
        self.frozen: int | None = None
        self._waiting: queue.Queue[Invocation] = queue.Queue()
        self._current: Invocation | None = None
        self._asked = threading.Event()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                assert self.path == f"{API}/invocation/next", self.path
                api._asked.set()
                invocation = api._current = api._waiting.get()
                invocation.handed_out = time.monotonic()
                event = json.dumps(invocation.event).encode()
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", invocation.request_id)
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + invocation.timeout) * 1000)))
                self.send_header("Content-Length", str(len(event)))
                self.end_headers()
                self.wfile.write(event)

            def do_POST(self) -> None:
                invocation = api._current
                assert invocation is not None
                assert self.path.startswith(f"{API}/invocation/{invocation.request_id}/"), self.path
                body = b"".join(self._chunks(invocation))
                api.freeze()
                invocation.seconds = time.monotonic() - invocation.handed_out
                if self.path.endswith("/error"):
                    invocation.error = json.loads(body)
                invocation.body = body
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()
                invocation.done.set()

            def _chunks(self, invocation: Invocation) -> Any:
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    yield self.rfile.read(int(self.headers["Content-Length"]))
                    return
                while size := int(self.rfile.readline(), 16):
                    chunk = self.rfile.read(size)
                    self.rfile.readline()
                    if not invocation.first_byte:
                        invocation.first_byte = time.monotonic() - invocation.handed_out
                    yield chunk
                self.rfile.readline()

            def log_message(self, *_: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def invoke(self, event: Any, timeout: float = 30.0) -> Invocation:
        """Thaws the process, hands the event out and waits for the answer."""
        assert self._asked.wait(30), "the runtime has not started"
        invocation = Invocation(event, timeout)
        self._waiting.put(invocation)
        self.thaw()
        assert invocation.done.wait(timeout), f"no answer to {event} within {timeout} s"
        return invocation

    def freeze(self) -> None:
        """What Lambda does once the answer is out."""
        if self.frozen is not None:
            os.kill(self.frozen, signal.SIGSTOP)

    def thaw(self) -> None:
        """What Lambda does before the next event."""
        if self.frozen is not None:
            os.kill(self.frozen, signal.SIGCONT)

    def stop(self) -> None:
        """No more events."""
        self._server.shutdown()
        self._server.server_close()
