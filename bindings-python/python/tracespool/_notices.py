"""Hands the core's notices to `logging` and to `on_drop`, on the application's thread; imported when there is one."""

import logging
from typing import Any

_log = logging.getLogger("tracespool")


def deliver(notices: list[tuple[str, str, int]], drops: list[dict[str, Any]], callbacks: tuple[Any, ...]) -> None:
    """Logs each `(level, message, count)` and calls each callback with each drop. A failing callback is logged."""
    for level, message, count in notices:
        text = message if count <= 1 else f"{message} ({count} times)"
        _log.log(logging.ERROR if level == "error" else logging.WARNING, "%s", text)
    for drop in drops:
        for callback in callbacks:
            try:
                callback(drop)
            except Exception:
                _log.warning("an on_drop callback failed", exc_info=True)


def debug() -> None:
    """What `Client(debug=True)` asks for: everything that tracespool has to say, and a handler where there is none."""
    logging.basicConfig()
    _log.setLevel(logging.DEBUG)
