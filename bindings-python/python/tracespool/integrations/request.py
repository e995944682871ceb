"""The request that is being answered: its correlation id, and the trace that its sender asked to go on with.

The middleware of this package sets both for the length of one request, job or invocation; read them anywhere below.

    from tracespool.integrations import request

    request.correlation_id()                                                        # "7f0c..." or None
    client.start_as_current_observation(name="work", trace_context=request.trace_context())
"""

from __future__ import annotations

import os
from contextvars import ContextVar

from tracespool import _native
from tracespool import headers as _headers
from tracespool.integrations._warning import failed

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from tracespool import Client, Observation

    _State = tuple[object, str | None, dict[str, str] | None]

__all__ = ["correlation_id", "trace_context"]

CORRELATION_HEADERS = ("x-correlation-id", "x-request-id")
"""Where a correlation id is looked for, in this order."""
_MAX_CORRELATION = 128
"""Characters: it goes into every log line, and anybody can send one."""

CORRELATION_KEY = "tracespool.correlation_id"
"""Where a WSGI environ or an ASGI scope carries the id to what stands around the middleware, such as the memory log."""

_correlation: ContextVar[str | None] = ContextVar("tracespool.correlation", default=None)
_incoming: ContextVar[dict[str, str] | None] = ContextVar("tracespool.incoming", default=None)


def correlation_id() -> str | None:
    """The id by which this request is known in logs: the one that came with it, else a random one. `None` outside."""
    return _correlation.get()


def trace_context() -> dict[str, str] | None:
    """What the request's `traceparent` names, for `trace_context=`. `None` where there is none or nobody asked for it."""
    return _incoming.get()


def forget() -> None:
    """Of a forked worker: nothing of what its parent was in the middle of is current any more."""
    _set((None, None, None))


class Request:
    """What one request makes current. `begin` and `leave` in one context; the others anywhere. None of them raises."""

    __slots__ = ("_blocks", "_inside", "_outside", "_scope", "error", "observation")

    def __init__(self) -> None:
        self.observation: Observation | None = None
        self.error: BaseException | None = None
        self._scope: Any = None
        self._blocks: list[Any] = []
        self._outside: _State | None = None
        self._inside: _State | None = None

    def begin(
        self,
        headers: Mapping[str, str],
        *,
        continue_trace: bool,
        client: Client | None = None,
        name: str | None = None,
        metadata: Any = None,
        input: Any = None,
        correlation: str | None = None,
        correlation_headers: tuple[str, ...] = CORRELATION_HEADERS,
    ) -> None:
        """Sets the ids; with `continue_trace` takes over what the headers say (their sender is then trusted): whatever starts
        inside goes on in the sender's trace; with `name` starts the observation of the request. `headers` have lower-case names."""
        try:
            incoming = _headers.trace_context(headers) if continue_trace else None
            self._outside = _state()
            _correlation.set(_usable(correlation) or came_with(headers, correlation_headers) or os.urandom(16).hex())
            _incoming.set(incoming)
            if incoming is not None:
                self._enter(_headers.continue_trace(headers))
            if continue_trace and (attributes := _headers.attributes(headers)):
                self._enter(_native.propagate_attributes(**attributes))
            if name is not None:
                client = _native.get_client() if client is None else client  # type: ignore[assignment]
                scope = client.start_as_current_observation(  # type: ignore[union-attr]
                    name=name, input=input, metadata=metadata, trace_context=incoming, end_on_exit=False
                )
                self.observation = scope.__enter__()
                self._scope = scope
            self._inside = _state()
        except Exception as raised:
            failed("a request", raised)

    def _enter(self, block: Any) -> None:
        block.__enter__()
        self._blocks.append(block)

    def leave(self, error: BaseException | None = None) -> None:
        """Sets back what was current before, and records what was raised. The observation goes on until `close`."""
        error = error or self.error
        kind = None if error is None else type(error)
        trace = None if error is None else error.__traceback__
        for block in (self._scope, *reversed(self._blocks)):
            if block is not None:
                try:
                    block.__exit__(kind, error, trace)
                except Exception as raised:
                    failed("a request's end", raised)
        self._scope = self.error = None
        self._blocks.clear()
        if self._outside is not None:
            _correlation.set(self._outside[1])
            _incoming.set(self._outside[2])

    def close(self, **last: Any) -> None:
        """Ends the observation, with what is known at last; what is current stays so until `leave`."""
        observation, self.observation = self.observation, None
        if observation is None:
            return
        try:
            if last:
                observation.update(**last)
            error, self.error = self.error, None
            if error is not None:  # raised after `leave`, while parts of the answer were made
                observation.__exit__(type(error), error, error.__traceback__)
            observation.end()
        except Exception as raised:
            failed("a request's end", raised)

    def answered(self, status: int | None, name: str | None) -> None:
        """`close`, with an answer's status and the name of its route."""
        last: dict[str, Any] = {}
        if name is not None:
            last["name"] = name
        if status is not None:
            last["metadata"] = {"status": status}
            if status >= 500:
                last["level"] = "ERROR"
        self.close(**last)

    def resume(self) -> _State:
        """Makes the request current again, for a part of its answer; returns what `suspend` sets back."""
        before = _state()
        if self._inside is not None:
            _set(self._inside)
        return before

    def suspend(self, before: _State) -> None:
        """Ends what `resume` began."""
        _set(before)


def _state() -> _State:
    return _native.current(), _correlation.get(), _incoming.get()


def _set(state: _State) -> None:
    _native.set_current(state[0])
    _correlation.set(state[1])
    _incoming.set(state[2])


def came_with(headers: Mapping[str, str], names: tuple[str, ...] = CORRELATION_HEADERS) -> str | None:
    """The correlation id that a request's headers bring along, where it can be logged. `headers` have lower-case names."""
    for name in names:
        if (value := _usable(headers.get(name))) is not None:
            return value
    return None


def header_names(names: Iterable[str]) -> tuple[str, ...]:
    """As they are looked up; one name may come without a list around it."""
    return tuple(name.lower() for name in ((names,) if isinstance(names, str) else names))


def _usable(value: str | None) -> str | None:
    """What cannot break a log line: printable ASCII without spaces, of a bounded length."""
    if value and len(value) <= _MAX_CORRELATION and value.isascii() and value.isprintable() and " " not in value:
        return value
    return None
