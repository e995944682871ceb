"""The `observe` decorator.

A wrapper begins an observation, runs the function with it as the current one, and ends it with what the function
returned or raised. The wrapper is of the function's own kind where frameworks look at it (`async def` stays `async def`);
generators are followed to their end, and their observation is current only while their own code runs.
"""

from __future__ import annotations

import os
import types

from tracespool import _notices
from tracespool._native import Observer, Run

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable
    from typing import Any, TypeVar, overload

    _F = TypeVar("_F", bound=Callable[..., Any])

_COROUTINE = 0x80 | 0x100
_STREAMS = (types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType)


if TYPE_CHECKING:

    @overload
    def observe(func: _F) -> _F: ...
    @overload
    def observe(
        func: None = None,
        *,
        name: str | None = None,
        as_type: str | None = None,
        capture_input: bool | None = None,
        capture_output: bool | None = None,
        transform_to_string: Callable[[Iterable[Any]], str] | None = None,
    ) -> Callable[[_F], _F]: ...


_told: set[str] = set()


def _tell(sentence: str) -> None:
    """Says it once."""
    if sentence not in _told:
        _told.add(sentence)
        _notices.deliver([("warning", sentence, 1)], [], ())


def _captures() -> bool:
    word = os.environ.get("LANGFUSE_OBSERVE_DECORATOR_IO_CAPTURE_ENABLED", "true").strip().lower()
    if word not in ("true", "1", "false", "0", ""):
        _tell(
            f"LANGFUSE_OBSERVE_DECORATOR_IO_CAPTURE_ENABLED {word[:20]!r} is neither true nor false; arguments and results are recorded"
        )
    return word not in ("false", "0")


def observe(
    func: Any = None,
    *,
    name: str | None = None,
    as_type: str | None = None,
    capture_input: bool | None = None,
    capture_output: bool | None = None,
    transform_to_string: Callable[[Iterable[Any]], str] | None = None,
    **unknown: Any,
) -> Any:
    """Traces every call of the decorated function as an observation below the current one.

    The input is recorded as `{"args": [...], "kwargs": {...}}` without `self` or `cls`; a generator's items are joined if
    they are text (or by `transform_to_string`). What the function raises is recorded and raised on. A call may pass
    `langfuse_trace_id`, `langfuse_parent_observation_id` and `langfuse_public_key`; the function does not see them.
    """
    capture = _captures()
    if isinstance(func, str):
        _tell(f"observe({func[:60]!r}): the name is a keyword; it is used as one")
        func, name = None, name if name is not None else func

    def decorate(function: Any) -> Any:
        if isinstance(function, (staticmethod, classmethod)):
            return type(function)(decorate(function.__func__))
        inner = _unwrapped(function)
        code = getattr(inner, "__code__", None)
        observer = Observer(
            name=name if name is not None else getattr(inner, "__name__", type(inner).__name__),
            as_type=as_type,
            capture_input=capture if capture_input is None else bool(capture_input),
            capture_output=capture if capture_output is None else bool(capture_output),
            skip_first=_first_argument(function) in ("self", "cls"),
            transform=transform_to_string,
            unknown=unknown or None,
        )
        flags = code.co_flags if code is not None else 0
        wrapper = _async_wrapper(function, observer) if flags & _COROUTINE else _wrapper(function, observer)
        return _dress(wrapper, inner, function)

    return decorate if func is None else decorate(func)


def _unwrapped(function: Any) -> Any:
    """The function inside a `functools.partial` or a callable object."""
    while hasattr(function, "func") and not hasattr(function, "__code__"):
        function = function.func
    if not hasattr(function, "__code__") and not isinstance(function, type):
        call = getattr(type(function), "__call__", None)
        if hasattr(call, "__code__"):
            return call
    return function


def _first_argument(function: Any) -> str:
    """The name of what a call passes first, also through decorators that tell what they wrap."""
    for _ in range(100):
        # Of a bound method, or a callable object, `self` is no argument of the call.
        if hasattr(function, "__self__"):
            return ""
        if not hasattr(function, "__wrapped__"):
            break
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    return code.co_varnames[0] if code is not None and code.co_argcount else ""


def _dress(wrapper: Any, inner: Any, function: Any) -> Any:
    for attribute in ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__", "__type_params__"):
        value = getattr(function, attribute, None) or getattr(inner, attribute, None)
        if value is not None:
            setattr(wrapper, attribute, value)
    wrapper.__dict__.update(getattr(function, "__dict__", {}))
    wrapper.__wrapped__ = function
    return wrapper


def _wrapper(function: Any, observer: Observer) -> Any:
    begin = observer.begin

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = begin(args, kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            run.fail(error)
            raise
        if type(result) in _STREAMS:
            return _follow(run, result)
        if run.finish(result):
            return result
        return _follow_body(run, result)

    return wrapper


def _async_wrapper(function: Any, observer: Observer) -> Any:
    begin = observer.begin

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = begin(args, kwargs)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            run.fail(error)
            raise
        if type(result) in _STREAMS:
            return _follow(run, result)
        if run.finish(result):
            return result
        return _follow_body(run, result)

    return wrapper


def scoped(block: Any, function: Any) -> Any:
    """Decorates `function` with a block (`start_as_current_observation`, `propagate_attributes`, `client.use`)."""
    inner = _unwrapped(function)
    code = getattr(inner, "__code__", None)
    if code is not None and code.co_flags & _COROUTINE:

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with block.again():
                return await function(*args, **kwargs)

        return _dress(coroutine, inner, function)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with block.again():
            return function(*args, **kwargs)

    return _dress(wrapper, inner, function)


def _follow(run: Run, result: Any) -> Any:
    """What stands for a generator or coroutine: one of the same kind that ends the observation with it."""
    run.suspend()
    if isinstance(result, types.GeneratorType):
        return _generator(run, result)
    if isinstance(result, types.AsyncGeneratorType):
        return _async_generator(run, result)
    return _coroutine(run, result)


def _follow_body(run: Run, response: Any) -> Any:
    """A streaming response goes on after the function has returned: its body ends the observation."""
    run.suspend()
    body = response.body_iterator
    response.body_iterator = _async_body(run, body) if hasattr(body, "__aiter__") else _body(run, body)
    return response


def _generator(run: Run, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    value: Any = None
    thrown: BaseException | None = None
    while True:
        run.resume()
        try:
            item = inner.send(value) if thrown is None else inner.throw(thrown)
        except StopIteration as stop:
            run.finish_stream()
            return stop.value
        except BaseException as error:
            run.fail(error)
            raise
        run.suspend()
        run.collect(item)
        thrown = None
        try:
            value = yield item
        except GeneratorExit:
            run.resume()
            try:
                inner.close()
            except BaseException as error:
                run.fail(error)
                raise
            run.finish_stream()
            raise
        except BaseException as error:
            value, thrown = None, error


async def _async_generator(run: Run, inner: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    value: Any = None
    thrown: BaseException | None = None
    while True:
        run.resume()
        try:
            item = await (inner.asend(value) if thrown is None else inner.athrow(thrown))
        except StopAsyncIteration:
            run.finish_stream()
            return
        except BaseException as error:
            run.fail(error)
            raise
        run.suspend()
        run.collect(item)
        thrown = None
        try:
            value = yield item
        except GeneratorExit:
            run.resume()
            try:
                await inner.aclose()
            except BaseException as error:
                run.fail(error)
                raise
            run.finish_stream()
            raise
        except BaseException as error:
            value, thrown = None, error


async def _coroutine(run: Run, inner: Any) -> Any:
    run.resume()
    try:
        result = await inner
    except BaseException as error:
        run.fail(error)
        raise
    run.finish(result)
    return result


def _body(run: Run, inner: Iterable[Any]) -> Generator[Any, None, None]:
    iterator = iter(inner)
    while True:
        run.resume()
        try:
            item = next(iterator)
        except StopIteration:
            run.finish_stream()
            return
        except BaseException as error:
            run.fail(error)
            raise
        run.suspend()
        run.collect(item)
        try:
            yield item
        except BaseException:
            run.resume()
            run.finish_stream()
            raise


async def _async_body(run: Run, inner: Any) -> AsyncGenerator[Any, None]:
    iterator = inner.__aiter__()
    while True:
        run.resume()
        try:
            item = await iterator.__anext__()
        except StopAsyncIteration:
            run.finish_stream()
            return
        except BaseException as error:
            run.fail(error)
            raise
        run.suspend()
        run.collect(item)
        try:
            yield item
        except BaseException:
            run.resume()
            try:
                if hasattr(inner, "aclose"):
                    await inner.aclose()
            finally:
                run.finish_stream()
            raise
