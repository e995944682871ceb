"""Flushes that hold something up: an answer, a worker's end. Bounded whatever the server does, and never raising."""

from __future__ import annotations

import logging
import os

import tracespool
from tracespool.integrations._warning import warn

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from tracespool import Client

_log = logging.getLogger("tracespool")

ON_LAMBDA = 0.5
"""Seconds that an answer may wait on AWS Lambda, where the process is frozen once it is out: two round trips to a server far
away, and not yet an answer that somebody calls slow."""
_GRACE = 0.04
"""Seconds that a flush may come back after its deadline; taken off it, so that the sum holds."""


def chosen(timeout: float | None, default: float | None = None, name: str = "flush_timeout") -> float:
    """The seconds to wait: what was asked for; else `default`; else that of AWS Lambda there, and nothing elsewhere."""
    if timeout is not None:
        try:
            seconds = float(timeout)
        except (TypeError, ValueError):
            seconds = float("nan")
        if 0.0 <= seconds <= 60.0:
            return seconds
        _log.warning("%s: %r is not between 0 and 60 seconds; the default stands", name, timeout)
    if default is not None:
        return default
    return ON_LAMBDA if os.environ.get("AWS_LAMBDA_RUNTIME_API") else 0.0


def flush(client: Client | None, timeout: float) -> bool:
    """Sends what `client`, or every client, has pending. True where nothing is left."""
    if timeout <= 0:
        return False
    try:
        left = max(0.0, timeout - _GRACE)
        report = tracespool.flush_all(left) if client is None else client.flush(left)
        return bool(report.get("complete"))
    except Exception as error:
        warn("flush", "a flush failed: %s: %s", type(error).__name__, error, error=error)
        return False


async def aflush(client: Client | None, timeout: float) -> bool:
    """`flush` for asyncio and trio."""
    if timeout <= 0:
        return False
    try:
        left = max(0.0, timeout - _GRACE)
        report = await (tracespool.aflush_all(left) if client is None else client.aflush(left))
        return bool(report.get("complete"))
    except Exception as error:
        warn("flush", "a flush failed: %s: %s", type(error).__name__, error, error=error)
        return False


def begin(client: Client | None, timeout: float) -> None:
    """Asks for a flush and does not wait."""
    try:
        tracespool._native.begin_flush_all(timeout) if client is None else client.begin_flush(timeout)
    except Exception as error:
        warn("flush", "a flush failed: %s: %s", type(error).__name__, error, error=error)
