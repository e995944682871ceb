"""`Client`: the native class and what is better said in Python (asyncio and trio)."""

from __future__ import annotations

from tracespool import _native, _waiting

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    _F = TypeVar("_F", bound=Callable[..., Any])
    _T = TypeVar("_T")

_COROUTINE = 0x80


class Client(_native.Client):
    """A handle on one destination: base URL, public key and secret key; or `otlp_endpoint` and `headers`, for any other
    backend that takes OTLP over HTTP, in the attributes of `dialect` (docs/otlp.md).

    Making a client for a destination that is in use costs microseconds: no thread, no connection, no TLS set-up. An
    argument or environment variable that cannot be used is logged once and its default stands; without usable keys the
    client records nothing and the application runs on.
    """

    __slots__ = ()

    async def aflush(self, timeout: float = 5.0) -> dict[str, Any]:
        """`flush` for asyncio and trio: starts no thread and never blocks the loop."""
        return await _waiting.wait(self.begin_flush(timeout), timeout)

    async def ashutdown(self, timeout: float = 3.0) -> dict[str, Any]:
        """`shutdown` for asyncio and trio."""
        report = await _waiting.wait(self.begin_flush(timeout), timeout)
        self.shutdown(0.0)
        return report

    def get_trace_url(self, *, trace_id: str | None = None) -> str | None:
        """The page of a trace, of the current one by default. Asks no server: the page itself finds the project. `None`
        for a client with an `otlp_endpoint`: each backend has pages of its own.
        """
        if self.otlp_endpoint:
            return None
        trace_id = trace_id or _native.get_current_trace_id()
        base_url = self.base_url
        return f"{base_url}/trace/{trace_id}" if trace_id and base_url else None

    def resolve_media_references(
        self,
        *,
        obj: _T,
        resolve_with: str = "base64_data_uri",
        max_depth: int = 10,
        content_fetch_timeout_seconds: float = 5,
    ) -> _T:
        """A copy of `obj` with media in the place of references to them; see `LangfuseMedia.resolve_media_references`."""
        from tracespool.media import LangfuseMedia

        return LangfuseMedia.resolve_media_references(
            obj=obj,
            langfuse_client=self,
            resolve_with=resolve_with,  # type: ignore[arg-type]
            max_depth=max_depth,
            content_fetch_timeout_seconds=content_fetch_timeout_seconds,
        )

    def in_context(self, function: _F) -> _F:
        """See `tracespool.in_context`."""
        return in_context(function)


_native.register_client_class(Client)


def get_client(*, public_key: str | None = None) -> Client:
    """The client to use here: of `public_key` where given; else of the current observation or `with client.use()`; else
    of the environment's keys; else the only one there is; else one that records nothing, with one warning.
    """
    return _native.get_client(public_key=public_key)  # type: ignore[return-value]


def flush_all(timeout: float = 5.0) -> dict[str, Any]:
    """Sends what every client has pending; returns by the deadline with a report."""
    return _native.begin_flush_all(timeout).wait(timeout)


async def aflush_all(timeout: float = 5.0) -> dict[str, Any]:
    """`flush_all` for asyncio and trio."""
    return await _waiting.wait(_native.begin_flush_all(timeout), timeout)


def in_context(function: _F) -> _F:
    """Binds `function` to the current observation: a thread that runs it traces below that observation."""
    record = _native.current()
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & _COROUTINE:

        async def bound_coroutine(*args: Any, **kwargs: Any) -> Any:
            previous = _native.set_current(record)
            try:
                return await function(*args, **kwargs)
            finally:
                _native.set_current(previous)

        return bound_coroutine  # type: ignore[return-value]

    def bound(*args: Any, **kwargs: Any) -> Any:
        previous = _native.set_current(record)
        try:
            return function(*args, **kwargs)
        finally:
            _native.set_current(previous)

    return bound  # type: ignore[return-value]
