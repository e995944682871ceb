"""What the middleware of synchronous web frameworks shares: settings, and answers in parts whose end is held back."""

from __future__ import annotations

from tracespool.integrations import _bounded
from tracespool.integrations.request import CORRELATION_HEADERS, Request, header_names

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping

    from tracespool import Client


class Settings:
    """How requests are traced; the arguments are those of `tracespool.integrations.asgi.TracespoolMiddleware`."""

    __slots__ = ("client", "continue_trace", "correlation_headers", "flush_timeout", "observation")

    def __init__(
        self,
        *,
        client: Client | None = None,
        flush_timeout: float | None = None,
        continue_trace: bool = False,
        observation: bool = False,
        correlation_headers: Iterable[str] = CORRELATION_HEADERS,
    ) -> None:
        self.client = client
        self.flush_timeout = _bounded.chosen(flush_timeout)
        self.continue_trace = bool(continue_trace)
        self.observation = bool(observation)
        self.correlation_headers = header_names(correlation_headers)

    def begin(self, headers: Mapping[str, str], method: str, path: str) -> Request:
        """A request under way. `headers` by lower-case name."""
        request = Request()
        request.begin(
            headers,
            continue_trace=self.continue_trace,
            client=self.client,
            name=f"{method} {path}" if self.observation else None,
            metadata={"method": method, "path": path},
            correlation_headers=self.correlation_headers,
        )
        return request

    def flush(self) -> None:
        """Sends what is pending, where an answer is to wait for that."""
        _bounded.flush(self.client, self.flush_timeout)

    async def aflush(self) -> None:
        """`flush` for asyncio."""
        await _bounded.aflush(self.client, self.flush_timeout)


class Parts:
    """An answer in parts. Each is made with its request current; `finish` runs once, before the last byte goes out: before
    the part that completes the announced `length`, else after the last part.
    """

    def __init__(
        self, request: Request, parts: Iterable[bytes], length: int | None, finish: Callable[[], None]
    ) -> None:
        self._request = request
        self._source = parts
        self._parts: Iterator[bytes] | None = None
        self._left = length
        self._finish: Callable[[], None] | None = finish

    def __iter__(self) -> Parts:
        return self

    def __next__(self) -> bytes:
        before = self._request.resume()
        try:
            if self._parts is None:
                self._parts = iter(self._source)
            part = next(self._parts)
        except BaseException as error:
            self._request.suspend(before)
            self._over(error)
            raise
        self._request.suspend(before)
        if self._left is not None:
            self._left -= len(part)
            if self._left <= 0:
                self._over()
        return part

    def _over(self, error: BaseException | None = None) -> None:
        finish, self._finish = self._finish, None
        if finish is None:
            return
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            self._request.error = error
        finish()

    def close(self) -> None:
        """Of servers, at the end of each answer, also of one that its client did not wait for."""
        try:
            close = getattr(self._source, "close", None)
            if close is not None:
                before = self._request.resume()
                try:
                    close()
                finally:
                    self._request.suspend(before)
        finally:
            self._over()


class AsyncParts:
    """`Parts` for asyncio. `finish` only ends the request; the flush is waited for here."""

    def __init__(
        self,
        request: Request,
        parts: AsyncIterator[bytes],
        length: int | None,
        finish: Callable[[], None],
        settings: Settings,
    ) -> None:
        self._request = request
        self._source = parts
        self._left = length
        self._finish: Callable[[], None] | None = finish
        self._settings = settings

    async def __aiter__(self) -> AsyncIterator[bytes]:
        iterator = self._source.__aiter__()
        try:
            while True:
                before = self._request.resume()
                try:
                    part = await iterator.__anext__()
                except StopAsyncIteration:
                    break
                except Exception as error:
                    self._request.error = error
                    raise
                finally:
                    self._request.suspend(before)
                if self._left is not None:
                    self._left -= len(part)
                    if self._left <= 0 and self._finish is not None:
                        self.close()
                        await self._settings.aflush()
                yield part
            if self._finish is not None:
                self.close()
                await self._settings.aflush()
        finally:
            self.close()
            aclose = getattr(iterator, "aclose", None)
            if aclose is not None:
                await aclose()

    def close(self) -> None:
        """Of servers, at the end of each answer, also of one that its client did not wait for."""
        finish, self._finish = self._finish, None
        if finish is not None:
            finish()
