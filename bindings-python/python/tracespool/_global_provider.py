"""The global tracer provider of OpenTelemetry into one client, where the application asks for it.

Langfuse's SDK puts every client onto that provider. Here nothing is, unless `TRACESPOOL_GLOBAL_PROVIDER` or
`tracespool.langfuse.install(global_provider=...)` says so: then the provider's spans go to one client, that of the public
key which is named, else the one that `get_client()` gives outside of any observation. There is no way to all of them.
"""

from __future__ import annotations

import logging
import os

from tracespool import _native

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from typing import Any

_log = logging.getLogger("tracespool")
VARIABLE = "TRACESPOOL_GLOBAL_PROVIDER"
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"", "0", "false", "no", "off"})

_wanted: list[str | None] = []
"""What is asked for and not done yet: a public key, or `None` for the default client's."""
_attached: Any = None


def choice(given: Any) -> Any:
    """What was asked for, in words or by an argument: `False`, `True`, or a public key."""
    if given is None or isinstance(given, bool):
        return bool(given)
    if isinstance(given, str):
        word = given.strip()
        if word.lower() in _YES:
            return True
        return False if word.lower() in _NO else word
    _log.warning("global_provider is True, False or a public key; it is ignored")
    return False


def from_environment() -> None:
    """What the environment asks for."""
    use(os.environ.get(VARIABLE))


def use(given: Any) -> None:
    """Attaches to the global provider with the first client that is made, as Langfuse's SDK does: an application that sets a
    provider of its own does so before. The last word counts, `False` too.
    """
    chosen = choice(given)
    _wanted.clear()
    if _attached is not None:
        _attached.point_to(chosen)
    elif chosen is False:
        _native.on_client(None)
    else:
        _wanted.append(None if chosen is True else chosen)
        _native.on_client(_made)
        if _native.clients():
            _made()


def _made() -> None:
    """A client has been made."""
    global _attached
    try:
        public_key = _wanted.pop()
    except IndexError:  # another thread does it
        return
    _native.on_client(None)
    try:
        from tracespool._global_processor import attach

        _attached = attach(public_key)
    except ImportError as error:
        _log.warning("the global tracer provider needs opentelemetry-sdk (%s): spans of other libraries are not recorded", error)
    except Exception as error:
        _log.warning("the global tracer provider cannot be used: %s", error)
