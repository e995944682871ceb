"""`/health` and `/metrics` in front of an application, for ASGI and WSGI.

    app = ASGIEndpoints(app, health=Health(), monitor=monitor, labels={"service": "shop", "pod": os.environ["HOSTNAME"]})

GET and HEAD of these two paths are answered here; everything else goes to the application. `labels` are added to each line of
`/metrics`; one that can be called is asked at each scrape, and so knows the worker: `lambda: {"pid": str(os.getpid())}`. They say nothing of requests,
users or keys, but what they say is not for everybody: keep them off the public side, or on a port of their own.
"""

from __future__ import annotations

import json
import logging

from tracespool.ops import metrics
from tracespool.ops.health import Health

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from tracespool.ops.monitor import Monitor
    from tracespool.ops.request_memory import MemoryLog

_log = logging.getLogger("tracespool.ops")

_REASONS = {200: "200 OK", 503: "503 Service Unavailable"}


class _Endpoints:
    def __init__(
        self,
        app: Any,
        *,
        health: Health | None = None,
        monitor: Monitor | None = None,
        memory: MemoryLog | None = None,
        health_path: str | None = "/health",
        metrics_path: str | None = "/metrics",
        labels: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        self.app = app
        if not callable(labels):
            metrics.common_labels(labels)  # a wrong name is told here, not at the first scrape
        self.labels = labels
        self.health = health if health is not None else Health(monitor=monitor)
        self.monitor = monitor
        self.memory = memory
        self._health_path = health_path
        self._metrics_path = metrics_path

    def _labels(self) -> Mapping[str, str] | None:
        """At a scrape what fails is told and left out: figures without labels are better than none."""
        if not callable(self.labels):
            return self.labels
        try:
            labels = self.labels()
            metrics.common_labels(labels)
            return labels
        except Exception as error:
            _log.warning("/metrics: its labels are left out: %s: %s", type(error).__name__, error)
            return None

    def _answer(self, method: str, path: str) -> tuple[int, str, bytes] | None:
        """Status, content type and body; None for what is the application's."""
        if method not in ("GET", "HEAD"):
            return None
        if path == self._health_path:
            body = json.dumps(self.health.report()).encode()
            return self.health.status_code(), "application/json", body
        if path == self._metrics_path:
            text = metrics.prometheus(
                monitor=self.monitor,
                memory=self.memory,
                health=self.health,
                labels=self._labels(),
            )
            return 200, metrics.CONTENT_TYPE, text.encode()
        return None


class ASGIEndpoints(_Endpoints):
    """For ASGI (uvicorn, hypercorn, gunicorn with a worker of theirs)."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answer = self._answer(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if answer is None:
            await self.app(scope, receive, send)
            return
        status, kind, body = answer
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class WSGIEndpoints(_Endpoints):
    """For WSGI (gunicorn, waitress)."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = self._answer(environ.get("REQUEST_METHOD", ""), environ.get("PATH_INFO", ""))
        if answer is None:
            return self.app(environ, start_response)  # type: ignore[no-any-return]
        status, kind, body = answer
        headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
        start_response(_REASONS[status], headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
