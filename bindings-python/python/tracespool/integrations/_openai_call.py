"""One call to OpenAI and its observation, from the request to the end of the answer, wherever that is seen."""

from __future__ import annotations

import json
import os
import weakref
from datetime import datetime, timezone

from tracespool import _native
from tracespool.integrations import _openai_answer, _openai_chunks, _openai_request, _warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Any

_FREE = {"input": 0, "output": 0, "total": 0}


def begin(kind: str, arguments: dict[str, Any]) -> Call | None:
    """Begins the observation of a call and takes our own arguments out of it. `None` where it is not recorded."""
    ours: dict[str, Any] = {}
    try:
        ours = _openai_request.take(arguments)
        raw = _openai_request.raw_mode(arguments)
        if raw and os.environ.get("LANGFUSE_OPENAI_SKIP_RAW_RESPONSES", "").lower() in ("true", "1"):
            return None
        return Call(kind, ours, arguments, raw)
    except Exception as error:
        for name in _openai_request.OURS:
            arguments.pop(name, None)
        _warning.failed("a call to OpenAI", error)
        return None


class Call:
    """An observation that is open until `finish` or `fail`; both may be called again."""

    def __init__(self, kind: str, ours: dict[str, Any], arguments: dict[str, Any], raw: str | None) -> None:
        self.kind = kind
        self.raw = raw
        self.parameters = _openai_request.parameters(kind, arguments)
        embedding = kind == "embedding"
        trace_context = None
        if (trace_id := ours.get("trace_id")) is not None:
            trace_context = {"trace_id": trace_id, "parent_span_id": ours.get("parent_observation_id")}
        elif ours.get("parent_observation_id") is not None:
            _warning.warn("openai parent", "parent_observation_id needs trace_id; it is ignored")
        name = ours.get("name")
        model = _openai_request.given(arguments, "model")
        self.observation = _native.get_client(public_key=ours.get("langfuse_public_key")).start_observation(
            name=name if isinstance(name, str) and name else "OpenAI-embedding" if embedding else "OpenAI-generation",
            as_type="embedding" if embedding else "generation",
            input=_openai_request.input_of(kind, arguments),
            metadata=_openai_request.metadata(ours, arguments),
            model=model or None,
            model_parameters=self.parameters,
            prompt=ours.get("langfuse_prompt"),
            trace_context=trace_context,
        )
        self.chunks: Any = None
        self.began: datetime | None = None
        # True while the package reads a chunk: the response may be closed then, but the chunk is still to come.
        self.reading = False
        self.done = False

    # ------------------------------------------------------------------------------------------------ the end

    def finish(self, fields: dict[str, Any] | None = None) -> None:
        """Ends it with what is known by now."""
        if self.done:
            return
        self.done = True
        try:
            if fields is None and self.chunks is not None:
                fields = self.chunks.fields(self.parameters)
            if fields or self.began is not None:
                self.observation.update(completion_start_time=self.began, **(fields or {}))
        except Exception as error:
            _warning.failed("an answer of OpenAI", error)
        finally:
            self.observation.end()

    def fail(self, error: BaseException) -> None:
        """Ends it with what was raised, and what had come until then."""
        if self.done:
            return
        try:
            fields = {"level": "ERROR", "status_message": str(error) or type(error).__name__}
            if self.chunks is None:
                self.observation.update(cost_details=_FREE, **fields)
            else:
                self.observation.update(**fields)
        except Exception as problem:
            _warning.failed("an error of OpenAI", problem)
        self.finish()

    # ------------------------------------------------------------------------------------------------ the answer

    def answered(self, response: Any) -> Any:
        """Records an answer, or watches over one that is still to be read. Returns it; nothing is read here."""
        try:
            if hasattr(response, "_iterator"):
                self.watch(response)
            elif self.raw == "stream":
                self._defer(response)
            elif self.raw and _coroutine(response.parse):
                self.finish(self._read(response))
            elif self.raw:
                # What it parses it keeps, so the application's own `parse()` costs nothing again.
                parsed = response.parse()
                if hasattr(parsed, "_iterator"):
                    self.watch(parsed)
                else:
                    self.finish(_openai_answer.fields(self.kind, parsed, self.parameters))
            elif hasattr(response, "__next__") or hasattr(response, "__anext__"):
                return self._foreign(response)
            else:
                self.finish(_openai_answer.fields(self.kind, response, self.parameters))
        except Exception as error:
            _warning.failed("an answer of OpenAI", error)
            self.finish({})
        return response

    def add(self, chunk: Any) -> None:
        """Keeps what a chunk adds to the answer."""
        if self.done:
            return
        try:
            if self.began is None:
                self.began = datetime.now(timezone.utc)
            self.chunks.add(chunk)
        except Exception as error:
            _warning.failed("a chunk of OpenAI", error)

    def watch(self, stream: Any) -> None:
        """Follows a stream of the package: its end, its failure, its being closed or forgotten ends the observation."""
        self.chunks = _openai_chunks.collector(self.kind)
        iterator = stream._iterator
        asynchronous = hasattr(iterator, "__anext__")
        stream._iterator = self._follow_async(iterator) if asynchronous else self._follow(iterator)
        stream._tracespool_call = self
        weakref.finalize(stream, self.finish).atexit = False
        self._watch_close(stream.response, "aclose" if asynchronous else "close", asynchronous)

    def _follow(self, iterator: Iterator[Any]) -> Iterator[Any]:
        try:
            while True:
                self.reading = True
                try:
                    chunk = next(iterator)
                except StopIteration:
                    return
                except BaseException as error:
                    self.fail(error)
                    raise
                finally:
                    self.reading = False
                self.add(chunk)
                yield chunk
        finally:
            self.finish()

    async def _follow_async(self, iterator: AsyncIterator[Any]) -> AsyncIterator[Any]:
        try:
            while True:
                self.reading = True
                try:
                    chunk = await iterator.__anext__()
                except StopAsyncIteration:
                    return
                except BaseException as error:
                    self.fail(error)
                    raise
                finally:
                    self.reading = False
                self.add(chunk)
                yield chunk
        finally:
            self.finish()

    def _foreign(self, response: Any) -> Any:
        """A plain generator, as packages return that imitate this one."""
        self.chunks = _openai_chunks.collector(self.kind)
        return self._follow_async(response) if hasattr(response, "__anext__") else self._follow(response)

    def _defer(self, response: Any) -> None:
        """A response whose body is not read yet: of a stream, the chunks are followed; else what was read of it by its close."""
        if getattr(response, "_is_sse_stream", False):
            parse = response.parse

            if _coroutine(parse):

                async def parsed_later(*args: Any, **kwargs: Any) -> Any:
                    return self._followed(await parse(*args, **kwargs))

                response.parse = parsed_later
            else:
                response.parse = lambda *args, **kwargs: self._followed(parse(*args, **kwargs))
        weakref.finalize(response, self.finish).atexit = False
        self._watch_close(response, "close", _coroutine(response.close), lambda: self._read(response))

    def _followed(self, parsed: Any) -> Any:
        if hasattr(parsed, "_iterator") and self.chunks is None and not self.done:
            self.watch(parsed)
        return parsed

    def _read(self, response: Any) -> dict[str, Any] | None:
        """What the application has read of a response."""
        if self.chunks is not None:
            return None
        content = getattr(response.http_response, "_content", None)
        if not content:
            return {}
        return _openai_answer.fields(self.kind, json.loads(content), self.parameters)

    def _watch_close(self, closes: Any, method: str, asynchronous: bool, fields: Any = None) -> None:
        """Ends the observation when `closes` is closed; it is closed as before."""
        close = getattr(closes, method)

        def closed() -> None:
            if self.reading or self.done:
                return
            try:
                said = fields() if fields is not None else None
            except Exception as error:
                _warning.failed("an answer of OpenAI", error)
                said = {}
            self.finish(said)

        async def close_async(*args: Any, **kwargs: Any) -> Any:
            try:
                return await close(*args, **kwargs)
            finally:
                closed()

        def close_sync(*args: Any, **kwargs: Any) -> Any:
            try:
                return close(*args, **kwargs)
            finally:
                closed()

        setattr(closes, method, close_async if asynchronous else close_sync)


def _coroutine(function: Any) -> bool:
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and bool(code.co_flags & 0x80)
