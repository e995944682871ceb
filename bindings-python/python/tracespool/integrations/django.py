"""Middleware for Django, synchronous and asynchronous, under WSGI and ASGI.

    MIDDLEWARE = ["tracespool.integrations.django.TracespoolMiddleware", ...]    # first
    TRACESPOOL = {"observation": True}    # optional: the arguments of tracespool.integrations.asgi.TracespoolMiddleware
"""

from __future__ import annotations

import logging

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings as django_settings

from tracespool.integrations import _web
from tracespool.integrations.request import CORRELATION_KEY, correlation_id

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tracespool.integrations.request import Request

__all__ = ["TracespoolMiddleware"]

_log = logging.getLogger("tracespool")
_HELD = "_tracespool_request"


class TracespoolMiddleware:
    """A correlation id for each request; an observation, and the sender's trace, where settings ask for them; on AWS Lambda
    the end of each answer waits for what was traced.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        try:
            self.settings = _web.Settings(**getattr(django_settings, "TRACESPOOL", {}))
        except TypeError as error:
            _log.warning("settings.TRACESPOOL is ignored: %s", error)
            self.settings = _web.Settings()
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        if self._async:
            return self._acall(request)
        held = self._begin(request)
        try:
            response = self.get_response(request)
        except BaseException as error:
            held.leave(error)
            held.close()
            self.settings.flush()
            raise
        held.leave()
        if _in_parts(response):

            def finish() -> None:
                _close(held, request, response)
                self.settings.flush()

            response.streaming_content = _web.Parts(held, response.streaming_content, _length(response), finish)
        else:
            _close(held, request, response)
            self.settings.flush()
        return response

    async def _acall(self, request: Any) -> Any:
        held = self._begin(request)
        try:
            response = await self.get_response(request)
        except Exception as error:
            held.leave(error)
            held.close()
            await self.settings.aflush()
            raise
        except BaseException as error:  # cancelled: it must not take longer
            held.leave(error)
            held.close()
            raise
        held.leave()
        if _in_parts(response) and response.is_async:
            response.streaming_content = _web.AsyncParts(
                held,
                response.streaming_content,
                _length(response),
                lambda: _close(held, request, response),
                self.settings,
            )
        else:
            _close(held, request, response)
            await self.settings.aflush()
        return response

    def process_exception(self, request: Any, exception: Exception) -> None:
        """What a view raised; Django makes an answer of it."""
        held = getattr(request, _HELD, None)
        if held is not None:
            held.error = exception

    def _begin(self, request: Any) -> Request:
        headers = {name.lower(): value for name, value in request.headers.items()}
        held = self.settings.begin(headers, request.method or "", request.path)
        setattr(request, _HELD, held)
        around = getattr(request, "scope", request.META)  # META is the environ under WSGI
        around[CORRELATION_KEY] = correlation_id()
        return held


def _in_parts(response: Any) -> bool:
    """A stream that is read here; a file may be handed to the server as it is."""
    return bool(getattr(response, "streaming", False)) and getattr(response, "file_to_stream", None) is None


def _length(response: Any) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _close(held: Request, request: Any, response: Any) -> None:
    route = getattr(getattr(request, "resolver_match", None), "route", None)
    held.answered(response.status_code, f"{request.method} /{route}" if isinstance(route, str) else None)
