"""`Client`: the native class and what is better said in Python (asyncio and trio)."""

from __future__ import annotations

import sys
import time

from tracespool import _native, _waiting

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from typing import Any, TypeVar

    from tracespool.prompt import ChatPromptClient, TextPromptClient

    _F = TypeVar("_F", bound=Callable[..., Any])
    _T = TypeVar("_T")
    _Headers = TypeVar("_Headers", bound=MutableMapping[str, str])

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
        timeout = await self._staged(timeout)
        return await _waiting.wait(self.begin_flush(timeout), timeout)

    async def _staged(self, timeout: float) -> float:
        """Waits for the client's own mask or exporter; returns what is left of the time."""
        stage = self._stage
        return timeout if stage is None else await _waiting.drained(stage, timeout)

    async def ashutdown(self, timeout: float = 3.0) -> dict[str, Any]:
        """`shutdown` for asyncio and trio."""
        timeout = await self._staged(timeout)
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

    def inject(self, headers: _Headers) -> _Headers:
        """See `tracespool.headers.inject`."""
        from tracespool.headers import inject

        return inject(headers)

    def in_context(self, function: _F) -> _F:
        """See `tracespool.in_context`."""
        return in_context(function)

    # Prompts.

    def get_prompt(
        self,
        name: str,
        *,
        version: int | None = None,
        label: str | None = None,
        type: str = "text",
        cache_ttl_seconds: float | None = None,
        fallback: str | list[dict[str, Any]] | None = None,
        max_retries: int | None = None,
        fetch_timeout_seconds: float | None = None,
    ) -> TextPromptClient | ChatPromptClient:
        """A prompt by name: of `version`, or with `label` (`production` by default).

        Fresh for `cache_ttl_seconds` (60; 0 goes past the cache), afterwards given out as it is while one fetch in the
        background renews it. A prompt that is not cached is fetched once, however many threads ask, in
        `fetch_timeout_seconds` (the client's timeout) with up to `max_retries` (2, at most 4) repetitions within it.

        Where it cannot be fetched: the prompt made of `fallback` (`is_fallback` is then true); without one a
        `tracespool.errors.NotFoundError` (404) or another `ApiError`. A failure is remembered for some seconds, and who
        has a fallback never waits for a server that is known to fail. ValueError for an empty name, and for version and
        label together.
        """
        from tracespool import _prompts

        wanted = _prompts.Wanted(
            name, version, label, type, cache_ttl_seconds, fallback, max_retries, fetch_timeout_seconds
        )
        return wanted.made(wanted.begin(self).wait())

    async def aget_prompt(
        self,
        name: str,
        *,
        version: int | None = None,
        label: str | None = None,
        type: str = "text",
        cache_ttl_seconds: float | None = None,
        fallback: str | list[dict[str, Any]] | None = None,
        max_retries: int | None = None,
        fetch_timeout_seconds: float | None = None,
    ) -> TextPromptClient | ChatPromptClient:
        """`get_prompt` for asyncio and trio: starts no thread and never blocks the loop."""
        from tracespool import _prompts

        wanted = _prompts.Wanted(
            name, version, label, type, cache_ttl_seconds, fallback, max_retries, fetch_timeout_seconds
        )
        return wanted.made(await _prompts.arrival(wanted.begin(self)))

    def create_prompt(
        self,
        *,
        name: str,
        prompt: str | list[Any],
        labels: list[str] | tuple[str, ...] = (),
        tags: list[str] | None = None,
        type: str | None = "text",
        config: Any = None,
        commit_message: str | None = None,
    ) -> TextPromptClient | ChatPromptClient:
        """Makes a new version of a prompt and returns it as the server has it. Forgets what is cached by this name.

        `prompt` is a str, or with `type="chat"` a list of messages (`role`, `content`) and placeholders (`type`:
        `placeholder`, `name`). Raises a `tracespool.errors.ApiError` where the server does not take it; ValueError where
        `prompt` is not of its type.
        """
        from tracespool import _prompts

        ticket = _prompts.begin_create(self, name, prompt, list(labels), tags, type, config, commit_message)
        return _prompts.made(ticket.wait())

    async def acreate_prompt(
        self,
        *,
        name: str,
        prompt: str | list[Any],
        labels: list[str] | tuple[str, ...] = (),
        tags: list[str] | None = None,
        type: str | None = "text",
        config: Any = None,
        commit_message: str | None = None,
    ) -> TextPromptClient | ChatPromptClient:
        """`create_prompt` for asyncio and trio."""
        from tracespool import _prompts

        ticket = _prompts.begin_create(self, name, prompt, list(labels), tags, type, config, commit_message)
        return _prompts.made(await _prompts.arrival(ticket))

    def update_prompt(
        self, *, name: str, version: int, new_labels: list[str] | tuple[str, ...] = ()
    ) -> TextPromptClient | ChatPromptClient:
        """Gives labels to a version, taking them from others, and returns it. Forgets what is cached by this name."""
        from tracespool import _prompts

        return _prompts.made(_prompts.begin_update(self, name, version, list(new_labels)).wait())

    async def aupdate_prompt(
        self, *, name: str, version: int, new_labels: list[str] | tuple[str, ...] = ()
    ) -> TextPromptClient | ChatPromptClient:
        """`update_prompt` for asyncio and trio."""
        from tracespool import _prompts

        ticket = _prompts.begin_update(self, name, version, list(new_labels))
        return _prompts.made(await _prompts.arrival(ticket))


_native.register_client_class(Client)


def get_client(*, public_key: str | None = None) -> Client:
    """The client to use here: of `public_key` where given; else of the current observation or `with client.use()`; else
    of the environment's keys; else the only one there is; else one that records nothing, with one warning.
    """
    return _native.get_client(public_key=public_key)  # type: ignore[return-value]


def flush_all(timeout: float = 5.0) -> dict[str, Any]:
    """Sends what every client has pending; returns by the deadline with a report."""
    timeout = _drain_stages(timeout)
    return _native.begin_flush_all(timeout).wait(timeout)


async def aflush_all(timeout: float = 5.0) -> dict[str, Any]:
    """`flush_all` for asyncio and trio."""
    timeout = await _waiting.all_drained(timeout)
    return await _waiting.wait(_native.begin_flush_all(timeout), timeout)


def _drain_stages(timeout: float) -> float:
    """Masks and exporters of clients that have some; returns what is left of the time."""
    stages = sys.modules.get("tracespool._stage")
    if stages is None:
        return timeout
    deadline = time.monotonic() + timeout
    stages.drain_all(timeout)
    return max(0.0, deadline - time.monotonic())


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
