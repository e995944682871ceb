"""Lines in the application's log for what an integration could not record: each at most once a minute."""

from __future__ import annotations

import logging
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PERIOD = 60.0
_MAX_KINDS = 256

_log = logging.getLogger("tracespool")
_last: dict[str, float] = {}


def warn(kind: str, message: str, *args: Any, error: BaseException | None = None) -> None:
    """Logs `message % args`, unless a line of this kind was logged within the last minute. Never raises."""
    try:
        now = time.monotonic()
        if now - _last.get(kind, -_PERIOD) < _PERIOD:
            return
        if len(_last) >= _MAX_KINDS:
            _last.clear()
        _last[kind] = now
        _log.warning(message, *args, exc_info=error if error is not None and _log.isEnabledFor(logging.DEBUG) else None)
    except Exception:
        return


def failed(what: str, error: BaseException) -> None:
    """Says that a value of the application could not be recorded."""
    warn(f"failed {what}", "%s could not be recorded: %s: %s", what, type(error).__name__, error, error=error)
