"""The OpenAI package with its calls recorded.

    from tracespool.langfuse.openai import OpenAI

    OpenAI().chat.completions.create(model="gpt-5.6", messages=messages, name="answer", metadata={"plan": "pro"})

Importing this module patches the package for the process: chat completions, completions, responses and embeddings, sync and
async, streamed and raw. `unpatch()` takes that back, `patch()` puts it on again.
"""

from __future__ import annotations

import functools
import importlib

from tracespool.integrations import _openai_call

try:
    import openai
except ImportError as error:
    raise ModuleNotFoundError("tracespool.integrations.openai needs openai: pip install 'openai>=1'") from error

from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any

__all__ = ["AsyncAzureOpenAI", "AsyncOpenAI", "AzureOpenAI", "OpenAI", "openai", "patch", "unpatch"]

# Module, class (its async twin has the prefix `Async`), methods, kind. What a version of the package does not have is left out.
_CALLS = (
    ("openai.resources.chat.completions", "Completions", ("create", "parse"), "chat"),
    ("openai.resources.beta.chat.completions", "Completions", ("parse",), "chat"),  # until 1.92
    ("openai.resources.completions", "Completions", ("create",), "completion"),
    ("openai.resources.responses", "Responses", ("create", "parse"), "responses"),
    ("openai.resources.embeddings", "Embeddings", ("create",), "embedding"),
)

# What was replaced: class, name, and the function itself.
_replaced: list[tuple[type, str, Any]] = []


def patch() -> None:
    """Has the package's calls recorded. Again does nothing."""
    if _replaced:
        return
    for module, name, methods, kind in _CALLS:
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        for prefix, wrap in (("", _recorded), ("Async", _recorded_async)):
            resource = getattr(found, prefix + name, None)
            for method in methods:
                original = getattr(resource, "__dict__", {}).get(method)
                if original is not None:
                    _replace(resource, method, wrap(kind, original))
    _replace(openai.Stream, "__iter__", _iterated(openai.Stream.__iter__))
    _replace(openai.AsyncStream, "__aiter__", _iterated_async(openai.AsyncStream.__aiter__))


def unpatch() -> None:
    """Leaves the package as it was, except where others have patched it since."""
    while _replaced:
        owner, name, original = _replaced.pop()
        if getattr(owner.__dict__.get(name), "_tracespool_original", None) is original:
            setattr(owner, name, original)


def _replace(owner: Any, name: str, replacement: Any) -> None:
    original = owner.__dict__[name]
    if hasattr(original, "_tracespool_original"):
        return
    functools.update_wrapper(replacement, original)
    replacement._tracespool_original = original
    setattr(owner, name, replacement)
    _replaced.append((owner, name, original))


def _recorded(kind: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        recorded = _openai_call.begin(kind, kwargs)
        if recorded is None:
            return original(self, *args, **kwargs)
        try:
            response = original(self, *args, **kwargs)
        except BaseException as error:
            recorded.fail(error)
            raise
        return recorded.answered(response)

    return call


def _recorded_async(kind: str, original: Callable[..., Any]) -> Callable[..., Any]:
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        recorded = _openai_call.begin(kind, kwargs)
        if recorded is None:
            return await original(self, *args, **kwargs)
        try:
            response = await original(self, *args, **kwargs)
        except BaseException as error:
            recorded.fail(error)
            raise
        return recorded.answered(response)

    return call


def _iterated(original: Callable[..., Any]) -> Callable[..., Any]:
    """A `for` over a stream that is left early ends its observation, even where the stream itself lives on."""

    def iterate(self: Any) -> Iterator[Any]:
        call = self.__dict__.get("_tracespool_call")
        if call is None:
            return original(self)
        return _until_left(original(self), call)

    return iterate


def _until_left(iterator: Iterator[Any], call: Any) -> Iterator[Any]:
    try:
        yield from iterator
    finally:
        call.finish()


def _iterated_async(original: Callable[..., Any]) -> Callable[..., Any]:
    def iterate(self: Any) -> AsyncIterator[Any]:
        call = self.__dict__.get("_tracespool_call")
        if call is None:
            return original(self)
        return _UntilLeft(original(self), call)

    return iterate


class _UntilLeft:
    """The same for `async for`, by a plain object: a generator's end would wait for the event loop."""

    __slots__ = ("__weakref__", "_call", "_iterator")

    def __init__(self, iterator: AsyncIterator[Any], call: Any) -> None:
        self._iterator = iterator
        self._call = call

    def __aiter__(self) -> _UntilLeft:
        return self

    def __anext__(self) -> Any:
        return self._iterator.__anext__()

    async def aclose(self) -> None:
        try:
            close = getattr(self._iterator, "aclose", None)
            if close is not None:
                await close()
        finally:
            self._call.finish()

    def __del__(self) -> None:
        self._call.finish()


patch()
