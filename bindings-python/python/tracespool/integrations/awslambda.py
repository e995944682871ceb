"""Handlers of AWS Lambda: what an invocation traced is sent before its answer, since the process is frozen right after.

    @tracespool_handler(timeout=0.5)
    def handler(event, context): ...

Behind the Lambda Web Adapter it is `tracespool.integrations.asgi` that does this.
"""

from __future__ import annotations

import functools
import logging

from tracespool.integrations import _bounded
from tracespool.integrations.request import Request

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from tracespool import Client

    _F = TypeVar("_F", bound=Callable[..., Any])

__all__ = ["tracespool_handler"]

_log = logging.getLogger("tracespool")

RESERVE = 0.1
"""Seconds of an invocation's remaining time that are left to the runtime, which has yet to post the answer."""
_COROUTINE = 0x80


def tracespool_handler(
    function: _F | None = None,
    *,
    timeout: float = _bounded.ON_LAMBDA,
    client: Client | None = None,
    observation: bool = True,
    capture_io: bool = False,
    continue_trace: bool = False,
) -> Any:
    """Wraps a handler `(event, context)`; use it with or without arguments.

    `timeout`: seconds, in total, that the answer may wait for what was traced to be sent; less where the invocation has less
    left, 0 never. What was not sent by then goes out with the next invocation, if there is one.
    `observation`: each invocation is one, named after the function, with its request id; an error is recorded in it and
    raised on. `capture_io`: with the event as input and the result as output.
    `continue_trace`: takes over `traceparent` and `baggage` of the event's `headers`. Only for senders that you trust.
    `client`: the one that observations go to and that is flushed; default: the current one, and all are flushed.
    """

    def wrap(function: _F) -> _F:
        code = getattr(function, "__code__", None)
        if code is not None and code.co_flags & _COROUTINE:
            _log.warning("tracespool_handler: %r stays as it is: AWS Lambda calls no coroutine functions", function)
            return function
        seconds = _bounded.chosen(timeout, _bounded.ON_LAMBDA, "timeout")

        @functools.wraps(function)
        def handler(event: Any, context: Any, *rest: Any) -> Any:
            request = Request()
            headers = _headers_of(event)
            request_id = getattr(context, "aws_request_id", None)
            name = getattr(context, "function_name", None) or getattr(function, "__name__", "handler")
            request.begin(
                headers,
                continue_trace=continue_trace,
                client=client,
                name=str(name) if observation else None,
                input=event if capture_io else None,
                metadata={"request_id": request_id} if request_id else None,
                correlation=request_id if isinstance(request_id, str) else None,
            )
            try:
                result = function(event, context, *rest)
            except BaseException as error:
                request.leave(error)
                request.close()
                _bounded.flush(client, _left(context, seconds))
                raise
            request.leave()
            request.close(**({"output": result} if capture_io else {}))
            _bounded.flush(client, _left(context, seconds))
            return result

        return handler  # type: ignore[return-value]

    return wrap if function is None else wrap(function)


def _left(context: Any, seconds: float) -> float:
    """The seconds that a flush may take."""
    try:
        return min(seconds, float(context.get_remaining_time_in_millis()) / 1000 - RESERVE)
    except Exception:  # no context of Lambda: a test of the application calls the handler
        return seconds


def _headers_of(event: Any) -> dict[str, str]:
    """Of an event of API Gateway, a load balancer or a function URL; others have none."""
    headers = event.get("headers") if isinstance(event, dict) else None
    if not isinstance(headers, dict):
        return {}
    return {name.lower(): value for name, value in headers.items() if isinstance(name, str) and isinstance(value, str)}
