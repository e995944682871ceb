"""Hands the core's notices to `logging` and to `on_drop`, on the application's thread.

Loaded with the package: code that is loaded while an interpreter exits makes it forget that Ctrl-C ended the program.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def deliver(notices: "list[tuple[str, str, int]]", drops: "list[dict[str, Any]]", callbacks: "tuple[Any, ...]") -> None:
    """Logs each `(level, message, count)` and calls each callback with each drop. A failing callback is logged."""
    for level, message, count in notices:
        _say(level, message if count <= 1 else f"{message} ({count} times)")
    for drop in drops:
        for callback in callbacks:
            try:
                callback(drop)
            except Exception:
                import logging

                logging.getLogger("tracespool").warning("an on_drop callback failed", exc_info=True)


def _say(level: str, text: str) -> None:
    logging = sys.modules.get("logging")
    if logging is not None and hasattr(logging, "getLogger"):
        logging.getLogger("tracespool").log(logging.ERROR if level == "error" else logging.WARNING, "%s", text)
    elif sys.stderr is not None:
        # What logging does where nobody has set it up, without loading it.
        sys.stderr.write(f"{text}\n")


def debug() -> None:
    """What `Client(debug=True)` asks for: everything that tracespool has to say, and a handler where there is none."""
    import logging

    logging.basicConfig()
    logging.getLogger("tracespool").setLevel(logging.DEBUG)
