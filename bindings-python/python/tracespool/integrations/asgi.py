"""Middleware for ASGI applications: FastAPI, Starlette, Django's and any other.

    app.add_middleware(TracespoolMiddleware)          # FastAPI, Starlette
    application = TracespoolMiddleware(application)   # anything else

On AWS Lambda behind the Web Adapter it holds back the end of each answer until what was traced is sent, since the process is
frozen as soon as the answer is out.
"""

from __future__ import annotations

from tracespool.integrations import _bounded
from tracespool.integrations.request import CORRELATION_HEADERS, CORRELATION_KEY, Request, correlation_id, header_names

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping
    from typing import Any

    from tracespool import Client

    _Message = MutableMapping[str, Any]
    _Receive = Callable[[], Awaitable[_Message]]
    _Send = Callable[[_Message], Awaitable[None]]
    _App = Callable[[_Message, _Receive, _Send], Awaitable[None]]

__all__ = ["TracespoolMiddleware"]

WITHOUT_BODY = (204, 304)
"""Statuses of answers that are whole with their headers."""


class TracespoolMiddleware:
    """Wraps an ASGI application.

    `continue_trace`: what `traceparent` and `baggage` of a request say is taken over: the request's observation, or without
    one whatever starts inside, goes below the sender's. Only for senders that you trust.
    `observation`: each request and websocket is one, with method, path and status; no headers, query strings or bodies.
    `flush_timeout`: seconds, in total, for which the end of an answer may be held back until all that was traced has been
    sent; 0 never. Default: 0.5 on AWS Lambda (`AWS_LAMBDA_RUNTIME_API` is set), 0 elsewhere. Everything before an answer's
    last bytes goes out at once.
    `shutdown_timeout`: seconds for the flush when the server says that it stops (`lifespan.shutdown`). Servers that end by a
    signal skip the goodbye at exit.
    `client`: the one that observations go to and that is flushed; default: the current one, and all are flushed.
    """

    def __init__(
        self,
        app: _App,
        *,
        client: Client | None = None,
        flush_timeout: float | None = None,
        continue_trace: bool = False,
        observation: bool = False,
        correlation_headers: Iterable[str] = CORRELATION_HEADERS,
        shutdown_timeout: float = 3.0,
    ) -> None:
        self.app = app
        self.client = client
        self.flush_timeout = _bounded.chosen(flush_timeout)
        self.continue_trace = continue_trace
        self.observation = observation
        self.correlation_headers = header_names(correlation_headers)
        self.shutdown_timeout = _bounded.chosen(shutdown_timeout, 3.0, "shutdown_timeout")

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        kind = scope["type"]
        if kind in ("http", "websocket"):
            await self._answer(scope, receive, send)
        elif kind == "lifespan":
            await self.app(scope, receive, self._saying_goodbye(send))
        else:
            await self.app(scope, receive, send)

    async def _answer(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        request = Request()
        name = metadata = None
        if self.observation:
            path = str(scope.get("path", ""))
            method = str(scope.get("method", "WEBSOCKET"))
            name, metadata = f"{method} {path}", {"method": method, "path": path}
        request.begin(
            _headers_of(scope),
            continue_trace=self.continue_trace,
            client=self.client,
            name=name,
            metadata=metadata,
            correlation_headers=self.correlation_headers,
        )
        scope[CORRELATION_KEY] = correlation_id()
        seconds = self.flush_timeout if scope["type"] == "http" else 0.0
        answer = _Answer(self.client, scope, send, request, seconds)
        try:
            await self.app(scope, receive, answer.send if self.observation or seconds else send)
        except Exception as error:
            request.leave(error)
            answer.close()
            if not answer.over:
                # The server, or a middleware around this one, answers in its place; then the process is frozen.
                await _bounded.aflush(self.client, seconds)
            raise
        except BaseException as error:  # cancelled: it must not take longer
            request.leave(error)
            answer.close()
            if seconds and not answer.over:
                _bounded.begin(self.client, seconds)
            raise
        request.leave()
        answer.close()
        if not answer.over:  # the client is gone, and the application has not said the last word
            await _bounded.aflush(self.client, seconds)

    def _saying_goodbye(self, send: _Send) -> _Send:
        async def sending(message: _Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await _bounded.aflush(self.client, self.shutdown_timeout)
            await send(message)

        return sending


class _Answer:
    """An answer on its way out. `over` once its last message was seen."""

    __slots__ = ("_client", "_left", "_scope", "_seconds", "_send", "_sent", "_trailers", "over", "request", "status")

    def __init__(self, client: Client | None, scope: _Message, send: _Send, request: Request, seconds: float) -> None:
        self._client = client
        self._scope = scope
        self._send = send
        self._seconds = seconds
        self._left: int | None = None
        self._sent = False
        self._trailers = False
        self.request = request
        self.status: int | None = None
        self.over = False

    async def send(self, message: _Message) -> None:
        """Passes a message on; the one that makes the answer whole, once what was traced is sent."""
        if not self.over and self._completes(message):
            if message["type"] == "http.response.body" and self._sent and self._left is None and message.get("body"):
                # The last bytes of a stream go out at once; only its end waits.
                await self._send({**message, "more_body": True})
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            self.over = True
            self.close()
            await _bounded.aflush(self._client, self._seconds)
        await self._send(message)

    def _completes(self, message: _Message) -> bool:
        """True where a client that sees this message has the whole answer."""
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message.get("status")
            self._trailers = bool(message.get("trailers"))
            self._left = self._length(message)
            return self._left == 0 and not self._trailers
        if kind == "http.response.body":
            body = message.get("body", b"")
            if self._left is not None:
                self._left -= len(body)
                # The rest of what was announced: nobody waits for the empty message after it.
                whole = self._left <= 0 or not message.get("more_body", False)
            else:
                whole = not message.get("more_body", False)
            if not whole:
                self._sent = True
            return whole and not self._trailers
        if kind == "http.response.trailers":
            return not message.get("more_trailers", False)
        if kind == "http.response.zerocopysend":
            return not message.get("more_body", False) and not self._trailers
        return bool(kind == "http.response.pathsend")

    def _length(self, message: _Message) -> int | None:
        """Bytes of the body, where that is known before it comes."""
        if self._scope.get("method") == "HEAD" or self.status in WITHOUT_BODY:
            return 0
        for name, value in message.get("headers", ()):
            if name.lower() == b"content-length":
                return int(value) if value.isdigit() else None
        return None

    def close(self) -> None:
        """Ends the request's observation, with what is known about the answer."""
        route = getattr(self._scope.get("route"), "path", None)
        name = f"{self._scope.get('method', 'WEBSOCKET')} {route}" if isinstance(route, str) else None
        self.request.answered(self.status, name)


def _headers_of(scope: _Message) -> dict[str, str]:
    """By lower-case name; of one that was sent twice, what both say, as HTTP joins them."""
    headers: dict[str, str] = {}
    for name, value in scope.get("headers", ()):
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers
