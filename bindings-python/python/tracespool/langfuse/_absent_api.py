"""`langfuse.api` where the langfuse package is not installed: the errors that a program may want to catch, which are ours."""

from __future__ import annotations

from tracespool.langfuse import _fallthrough

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# A package without modules, so that importing one of them says what to install.
__path__: list[str] = []


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'langfuse.api' has no attribute {name!r}")
    from importlib import import_module

    try:
        errors = import_module("tracespool.errors")
    except ModuleNotFoundError:
        errors = None
    found = getattr(errors, name, None)
    if isinstance(found, type) and issubclass(found, Exception):
        return found
    raise _fallthrough.LangfuseNotInstalled(f"langfuse.api.{name}")
