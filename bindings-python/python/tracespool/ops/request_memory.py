"""What each request does to the memory of the process: log lines, and routes ranked by what they retain.

    log = MemoryLog(threshold_mb=20, one_in=1000)
    app = ASGIMemory(app, log)        # or WSGIMemory(app, log)
    log.routes()                      # [{"route": "POST /chat", "retained_mb": 41.2, ...}, ...]
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import threading
import time

from tracespool import _native
from tracespool.integrations.request import CORRELATION_HEADERS, CORRELATION_KEY, came_with, correlation_id
from tracespool.ops.memory import MB, rss_bytes

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from tracespool.ops.monitor import Monitor

_log = logging.getLogger("tracespool.ops")

_MAX_ROUTES = 512
"""Routes that are told apart; later ones are counted together, as "(other)"."""
_MAX_TEXT = 200
_HEADERS = {name.encode(): name for name in (*CORRELATION_HEADERS, "traceparent")}
_VARIABLE = re.compile(r"(?<=/)(\d+|[0-9a-fA-F]{8,}|[0-9a-fA-F-]{32,}|[^/]{40,})(?=/|$)")
"""Parts of a path that are ids: numbers, hexadecimal, UUIDs, anything long."""


class Passage:
    """One request under way."""

    __slots__ = ("began", "concurrent", "correlation_id", "owner", "rss")

    def __init__(self, owner: _Process, correlation_id: str | None) -> None:
        self.owner = owner
        self.correlation_id = correlation_id
        self.concurrent = 1
        self.began = time.monotonic()
        self.rss = rss_bytes()


class _Process:
    """What belongs to one process: the requests under way and the routes seen. A forked child begins with its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.open: set[Passage] = set()
        self.seen = 0
        self.routes: dict[str, dict[str, float]] = {}


class MemoryLog:
    """Measures requests, logs some and ranks routes.

    A line goes to the logger `tracespool.ops` when a request adds `threshold_mb` or more (WARNING), and for one request in
    `one_in` (INFO; 0: none). It has the RSS before, after and the difference in MB, how many requests ran at most beside
    it, the pid and the correlation id, as text and as attributes of the record (`rss_before_mb`, ...).

    RSS belongs to the process, not to a request: what requests add that run at the same time is divided among them, and
    `alone` counts those that had nobody beside them. Measuring costs some 20 µs a request. A `monitor` takes a sample after
    a request where its interval is over.
    """

    def __init__(self, *, threshold_mb: float = 20.0, one_in: int = 0, monitor: Monitor | None = None) -> None:
        self.threshold_mb = threshold_mb
        self.one_in = one_in
        self.monitor = monitor
        self._process = _Process()

    def _here(self) -> _Process:
        process = self._process
        if process.pid != os.getpid():
            # Requests of the parent are not ours, and its lock may have been held during the fork.
            process = self._process = _Process()
        return process

    @property
    def concurrent(self) -> int:
        """Requests under way."""
        return len(self._here().open)

    @property
    def requests(self) -> int:
        """Requests that have ended."""
        return self._here().seen

    def begin(self, correlation: str | None = None) -> Passage:
        """A request begins, known by this id in other logs."""
        process = self._here()
        passage = Passage(process, _clean(correlation))
        with process.lock:
            process.open.add(passage)
            beside = len(process.open)
            if beside > 1:
                for other in process.open:
                    other.concurrent = max(other.concurrent, beside)
        return passage

    def end(self, passage: Passage, route: str, correlation: str | None = None) -> dict[str, Any]:
        """It has ended; what was measured. `correlation` is the id that it was given meanwhile, by a middleware inside."""
        process = self._here()
        after = rss_bytes()
        delta = after - passage.rss
        with process.lock:
            process.open.discard(passage)
            process.seen += 1
            one = self.one_in > 0 and process.seen % self.one_in == 0
            if route not in process.routes and len(process.routes) >= _MAX_ROUTES:
                route = "(other)"
            row = process.routes.get(route)
            if row is None:
                row = process.routes[route] = {"requests": 0, "alone": 0, "retained": 0.0, "largest": 0}
            row["requests"] += 1
            row["alone"] += passage.concurrent == 1
            row["retained"] += delta / passage.concurrent
            row["largest"] = max(row["largest"], delta)
        seen = {
            "route": route,
            "rss_before_mb": round(passage.rss / MB, 1),
            "rss_after_mb": round(after / MB, 1),
            "delta_mb": round(delta / MB, 1),
            "concurrent": passage.concurrent,
            "worker_pid": process.pid,
            "correlation_id": _clean(correlation) or passage.correlation_id or _native.get_current_trace_id() or secrets.token_hex(8),
            "seconds": round(time.monotonic() - passage.began, 3),
        }
        high = delta >= self.threshold_mb * MB
        if high or one:
            text = "request memory: " + " ".join(f"{name}={value}" for name, value in seen.items())
            _log.log(logging.WARNING if high else logging.INFO, "%s", text, extra=seen)
        if self.monitor is not None:
            self.monitor.tick()
        return seen

    def routes(self, top: int | None = 20) -> list[dict[str, Any]]:
        """The routes by what their requests left behind, most first: `route`, `requests`, `alone`, `retained_mb`,
        `mean_mb`, `largest_mb`.
        """
        process = self._here()
        with process.lock:
            rows = [(route, dict(row)) for route, row in process.routes.items()]
        rows.sort(key=lambda row: row[1]["retained"], reverse=True)
        return [
            {
                "route": route,
                "requests": int(row["requests"]),
                "alone": int(row["alone"]),
                "retained_mb": round(row["retained"] / MB, 2),
                "mean_mb": round(row["retained"] / MB / row["requests"], 4),
                "largest_mb": round(row["largest"] / MB, 2),
            }
            for route, row in rows[:top]
        ]


class ASGIMemory:
    """ASGI middleware: every HTTP request goes through `log`. WebSockets and the lifespan pass unmeasured."""

    def __init__(self, app: Any, log: MemoryLog | None = None) -> None:
        self.app = app
        self.log = log if log is not None else MemoryLog()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        passage = self.log.begin(correlation_id() or _asgi_correlation(scope.get("headers") or ()))
        try:
            await self.app(scope, receive, send)
        finally:
            self.log.end(passage, _asgi_route(scope), scope.get(CORRELATION_KEY))


class WSGIMemory:
    """WSGI middleware: a request has ended when its response is closed."""

    def __init__(self, app: Callable[..., Iterable[bytes]], log: MemoryLog | None = None) -> None:
        self.app = app
        self.log = log if log is not None else MemoryLog()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        headers = {name: environ.get(_variable(name), "") for name in _HEADERS.values()}
        passage = self.log.begin(correlation_id() or _correlation(headers))
        rule: str | None = None

        def starting(*given: Any) -> Any:
            nonlocal rule
            rule = _rule(environ)  # Flask forgets its request before the response is read
            return start_response(*given)

        def end() -> None:
            self.log.end(passage, _route(environ.get("REQUEST_METHOD"), rule, environ.get("PATH_INFO")), environ.get(CORRELATION_KEY))

        try:
            body = self.app(environ, starting)
        except BaseException:
            end()
            raise
        return Closing(body, end)


class Closing:
    """A WSGI response that calls `then` once, when the server closes it (PEP 3333 has it do so always)."""

    def __init__(self, body: Iterable[bytes], then: Callable[[], object]) -> None:
        self._body = body
        self._then: Callable[[], object] | None = then

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def __len__(self) -> int:
        # Servers send a Content-Length where a response has one part, and ask for it so.
        return len(self._body)  # type: ignore[arg-type]

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            then, self._then = self._then, None
            if then is not None:
                then()


def _asgi_correlation(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    found = {}
    for key, value in headers:
        if (name := _HEADERS.get(key.lower())) is not None:
            found[name] = value.decode("latin-1")
    return _correlation(found)


def _correlation(headers: Mapping[str, str]) -> str | None:
    """As the middleware for tracing has it, so that all lines of a request agree; else the sender's trace."""
    if (came := came_with(headers)) is not None:
        return came
    parts = headers.get("traceparent", "").split("-")
    return parts[1] if len(parts) == 4 else None


def _clean(text: str | None) -> str | None:
    """A header is written by whoever sends the request: no line breaks or control characters reach the log."""
    if text is None:
        return None
    return "".join(letter if letter.isprintable() and letter != " " else "_" for letter in text[:_MAX_TEXT]) or None


def _variable(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


def _asgi_route(scope: Any) -> str:
    """Frameworks leave the route they took in the scope; without one, the path with its ids folded."""
    path = getattr(scope.get("route"), "path", None)
    return _route(scope.get("method"), path, scope.get("path"))


def _rule(environ: Mapping[str, Any]) -> str | None:
    """Of Flask's routes, while the request is being answered."""
    return getattr(getattr(environ.get("werkzeug.request"), "url_rule", None), "rule", None)


def _route(method: Any, template: Any, path: Any) -> str:
    if isinstance(template, str) and template:
        place = template
    else:
        place = _VARIABLE.sub("*", path if isinstance(path, str) else "")
    return _clean(f"{method or '?'}") + " " + (_clean(place or "/") or "/")  # type: ignore[operator]
