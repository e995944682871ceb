"""What a program stands on: the library under test, and a notebook for what the program saw of it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

langfuse = importlib.import_module(os.environ["CONFORMANCE_LIBRARY"])

said: list[tuple[str, Any]] = []


def say(what: str, value: Any) -> None:
    """Notes what the program saw: a plain value as it is, of anything else its type."""
    said.append((what, _plain(value)))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return f"<{type(value).__name__}>"


def attempt(what: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls `function` and notes what it raised, if it did."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        say(f"{what} raised", type(error).__name__)
        return None


def settings(**environ: str | None) -> Callable[[_F], _F]:
    """The environment that a program wants; `None` takes a variable away."""

    def decorate(function: _F) -> _F:
        function.environ = environ  # type: ignore[attr-defined]
        return function

    return decorate
