"""Extension for Flask.

    Tracespool(app, observation=True)

Its arguments are those of `tracespool.integrations.asgi.TracespoolMiddleware`.
"""

from __future__ import annotations

from flask import got_request_exception, request

from tracespool.integrations import _web
from tracespool.integrations.request import CORRELATION_KEY, correlation_id

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from flask import Flask

    from tracespool.integrations.request import Request

    _Environ = dict[str, Any]

__all__ = ["Tracespool"]

_HELD, _RULE = "tracespool.request", "tracespool.rule"


class Tracespool:
    """A correlation id for each request; an observation, and the sender's trace, where asked for; on AWS Lambda the end of
    each answer waits for what was traced. Without an application at first: `init_app`.
    """

    def __init__(self, app: Flask | None = None, **settings: Any) -> None:
        self.settings = _web.Settings(**settings)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Wraps `app.wsgi_app`; other wrappers may stand on either side."""
        if "tracespool" in app.extensions:
            return
        app.extensions["tracespool"] = self
        app.before_request(_remember_rule)
        got_request_exception.connect(_remember_error, app)
        app.wsgi_app = _Wrapper(app.wsgi_app, self.settings)


def _remember_rule() -> None:
    if request.url_rule is not None:
        request.environ[_RULE] = request.url_rule.rule


def _remember_error(_: Any, exception: BaseException, **__: Any) -> None:
    held = request.environ.get(_HELD)
    if held is not None:
        held.error = exception


class _Wrapper:
    """A WSGI application around another."""

    def __init__(self, inner: Callable[..., Iterable[bytes]], settings: _web.Settings) -> None:
        self.inner = inner
        self.settings = settings

    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ.get("REQUEST_METHOD", ""), environ.get("PATH_INFO", "")
        held = self.settings.begin(_headers_of(environ), method, path)
        environ[_HELD] = held
        environ[CORRELATION_KEY] = correlation_id()
        status: int | None = None
        length: int | None = None

        def starting(line: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            nonlocal status, length
            status = int(line[:3])
            length = next((int(v) for n, v in headers if n.lower() == "content-length" and v.isdigit()), None)
            return start_response(line, headers, *rest)

        try:
            parts = self.inner(environ, starting)
        except BaseException as error:
            held.leave(error)
            held.close()
            self.settings.flush()
            raise
        held.leave()
        if not (self.settings.observation or self.settings.continue_trace or self.settings.flush_timeout):
            return parts

        def finish() -> None:
            _close(held, method, environ, status)
            self.settings.flush()

        return _web.Parts(held, parts, length, finish)


def _close(held: Request, method: str, environ: _Environ, status: int | None) -> None:
    rule = environ.get(_RULE)
    held.answered(status, f"{method} {rule}" if rule else None)


def _headers_of(environ: _Environ) -> dict[str, str]:
    return {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
