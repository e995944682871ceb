"""The `observe` decorator on every kind of function, and what is current meanwhile."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import tracespool
from tracespool import observe

Sent = Callable[[], dict[str, dict[str, Any]]]


def current() -> str | None:
    return tracespool.get_current_observation_id()


@observe
def plain(x: Any, *, y: Any = 2) -> Any:
    """Doc."""
    assert current()
    return {"x": x, "y": y}


@observe(name="coroutine", as_type="agent")
async def coroutine(x: Any) -> Any:
    await asyncio.sleep(0)
    assert current()
    return x


@observe
def failing() -> None:
    raise ValueError("boom")


@observe
def generator(n: int) -> Iterator[Any]:
    mine = current()
    for i in range(n):
        got = yield f"part{i} "
        assert current() == mine
        if got is not None:
            yield got
    return "returned"


@observe
async def async_generator(n: int) -> AsyncIterator[Any]:
    mine = current()
    for i in range(n):
        await asyncio.sleep(0)
        yield {"i": i}
        assert current() == mine


class Service:
    @observe
    def method(self, x: int) -> int:
        return x

    @classmethod
    @observe
    def class_method(cls, x: int) -> int:
        return x

    @observe
    @staticmethod
    def static_method(x: int) -> int:
        return x

    @observe(name="outermost")
    @classmethod
    def outer(cls, x: int) -> str:
        return cls.__name__

    def __call__(self, x: int) -> int:
        return x


def test_functions(client: tracespool.Client, sent: Sent) -> None:
    assert plain(1) == {"x": 1, "y": 2}
    assert asyncio.run(coroutine("c")) == "c"
    with pytest.raises(ValueError, match="boom"):
        failing()
    stored = sent()
    assert stored["plain"]["input"] == '{"args":[1],"kwargs":{}}'
    assert json.loads(stored["plain"]["output"]) == {"x": 1, "y": 2}
    assert (stored["coroutine"]["type"], stored["coroutine"]["output"]) == ("agent", "c")
    assert (stored["failing"]["level"], stored["failing"]["status_message"]) == ("ERROR", "boom")
    assert current() is None


def test_methods_leave_self_out(client: tracespool.Client, sent: Sent) -> None:
    service = Service()
    assert (service.method(1), Service.class_method(2), Service.static_method(3), Service.outer(4)) == (1, 2, 3, "Service")
    assert observe(name="callable")(service)(5) == 5
    assert observe(name="partial")(functools.partial(plain, 6))(y=7) == {"x": 6, "y": 7}
    stored = sent()
    for name, x in (("method", 1), ("class_method", 2), ("static_method", 3), ("outermost", 4)):
        assert stored[name]["input"] == f'{{"args":[{x}],"kwargs":{{}}}}', name
    assert json.loads(stored["partial"]["input"])["kwargs"] == {"y": 7}


def test_wrappers_look_like_what_they_wrap() -> None:
    assert (plain.__name__, plain.__doc__, plain.__module__) == ("plain", "Doc.", __name__)
    assert list(inspect.signature(plain).parameters) == ["x", "y"]
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgenerator(generator(0)) and inspect.isasyncgen(async_generator(0))


def test_generators(client: tracespool.Client, sent: Sent) -> None:
    with client.start_as_current_observation(name="consumer") as consumer:
        parts = generator(3)
        assert current() == consumer.id
        for _ in parts:
            assert current() == consumer.id
        sending = generator(2)
        assert next(sending) == "part0 "
        assert sending.send("sent ") == "sent "
        with pytest.raises(RuntimeError):
            sending.throw(RuntimeError("thrown"))
    stored = sent()["generator"]
    assert (stored["parent"], stored["level"], stored["output"]) == (consumer.id, "ERROR", "part0 sent ")


def test_generator_output(client: tracespool.Client, sent: Sent) -> None:
    assert "".join(generator(3)) == "part0 part1 part2 "

    @observe(transform_to_string=lambda items: "+".join(map(str, items)))
    def numbers() -> Iterator[int]:
        yield from (1, 2)

    @observe
    def mixed() -> Iterator[Any]:
        yield "a"
        yield 1

    @observe(transform_to_string=lambda items: 1 / 0)
    def odd() -> Iterator[int]:
        yield 1

    assert list(numbers()) == [1, 2] and list(mixed()) == ["a", 1] and list(odd()) == [1]
    stored = sent()
    assert stored["generator"]["output"] == "part0 part1 part2 "
    assert stored["numbers"]["output"] == "1+2"
    assert stored["mixed"]["output"] == '["a",1]'
    assert stored["odd"]["output"] == "[1]"


def test_generators_that_are_left(client: tracespool.Client, sent: Sent) -> None:
    for _ in generator(5):
        break
    left = generator(5)
    next(left)
    left.close()
    never_begun = generator(5)
    del never_begun
    gc.collect()
    sent()
    counts = tracespool.stats()["destinations"]
    mine = next(part for part in counts if part["public_key"] == client.public_key)
    assert mine["observations"]["delivered"] == 3 and not mine["observations"]["dropped"]


def test_a_generator_may_be_closed_elsewhere(client: tracespool.Client, sent: Sent) -> None:
    parts = generator(5)
    next(parts)
    errors: list[BaseException] = []

    def close() -> None:
        try:
            parts.close()
            assert current() is None
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=contextvars.Context().run, args=(close,))
    thread.start()
    thread.join()
    assert not errors
    assert sent()["generator"]["output"] == "part0 "


def test_async_generators(client: tracespool.Client, sent: Sent) -> None:
    async def main() -> None:
        with client.start_as_current_observation(name="consumer") as consumer:
            async for _ in async_generator(3):
                assert current() == consumer.id
            left = async_generator(5)
            async for _ in left:
                break
            closing = asyncio.create_task(left.aclose())  # type: ignore[attr-defined]
            await closing
            assert current() == consumer.id

    asyncio.run(main())
    assert json.loads(sent()["async_generator"]["output"])[0] == {"i": 0}


def test_interleaved_tasks_keep_their_own(client: tracespool.Client, sent: Sent) -> None:
    @observe
    async def leaf(name: str) -> str:
        await asyncio.sleep(0.001)
        return name

    async def request(i: int) -> None:
        async with client.start_as_current_observation(name=f"request{i}") as root:
            await asyncio.gather(*(leaf(f"{i}") for _ in range(3)))
            assert current() == root.id

    async def main() -> None:
        await asyncio.gather(*(request(i) for i in range(20)))

    asyncio.run(main())
    stored = sent()
    assert len({stored[f"request{i}"]["trace_id"] for i in range(20)}) == 20


def test_cancellation_is_recorded_and_travels_on(client: tracespool.Client, sent: Sent) -> None:
    @observe
    async def slow() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(slow())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (sent()["slow"]["level"], sent()["slow"]["status_message"]) == ("ERROR", "CancelledError")


def test_trio(client: tracespool.Client) -> None:
    trio = pytest.importorskip("trio")

    async def main() -> None:
        async with client.start_as_current_observation(name="trio"):
            assert await coroutine_on_trio() == 1
        report = await client.aflush(5.0)
        assert report["complete"]

    @observe
    async def coroutine_on_trio() -> int:
        await trio.sleep(0)
        return 1

    trio.run(main)


def test_reserved_keywords(client: tracespool.Client, sent: Sent) -> None:
    trace = "0123456789abcdef0123456789abcdef"

    @observe(name="child")
    def child(**kwargs: Any) -> Any:
        return kwargs

    with client.start_as_current_observation(name="other"):
        assert child(a=1, langfuse_trace_id=trace, langfuse_parent_observation_id="00000000000000aa") == {"a": 1}
        assert child(langfuse_public_key=client.public_key, langfuse_trace_id=None) == {}
    row = [row for row in sent().values() if row["name"] == "child"][0]
    assert row["trace_id"] in (trace, sent()["other"]["trace_id"])


def test_capture_switches(client: tracespool.Client, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    observe(name="none", capture_input=False, capture_output=False)(lambda x: x)(1)
    monkeypatch.setenv("LANGFUSE_OBSERVE_DECORATOR_IO_CAPTURE_ENABLED", "false")
    observe(name="env")(lambda x: x)(1)
    observe(name="over", capture_output=True)(lambda x: x)(1)
    stored = sent()
    assert all(stored[name]["input"] is None for name in ("none", "env", "over"))
    assert (stored["none"]["output"], stored["env"]["output"], stored["over"]["output"]) == (None, None, "1")


def test_streaming_responses(client: tracespool.Client, sent: Sent) -> None:
    class StreamingResponse:
        def __init__(self, body: Any) -> None:
            self.body_iterator = body

    @observe
    def endpoint() -> Any:
        return StreamingResponse(iter(["a", "b"]))

    @observe
    async def async_endpoint() -> Any:
        async def body() -> AsyncIterator[str]:
            assert current()
            yield "c"
            yield "d"

        return StreamingResponse(body())

    response = endpoint()
    assert current() is None
    assert list(response.body_iterator) == ["a", "b"]

    async def main() -> list[str]:
        response = await async_endpoint()
        return [part async for part in response.body_iterator]

    assert asyncio.run(main()) == ["c", "d"]
    stored = sent()
    assert (stored["endpoint"]["output"], stored["async_endpoint"]["output"]) == ("ab", "cd")


def test_threads_join_a_trace_by_in_context(client: tracespool.Client, sent: Sent) -> None:
    with client.start_as_current_observation(name="root") as root, ThreadPoolExecutor(2) as pool:
        assert pool.submit(tracespool.in_context(plain), 1).result()["x"] == 1
        assert pool.submit(current).result() is None
    assert sent()["plain"]["parent"] == root.id


def test_scopes_of_undecorated_generators_do_not_break_the_outer_one(client: tracespool.Client) -> None:
    def body(name: str) -> Iterator[int]:
        with client.start_as_current_observation(name=name):
            yield 1
            yield 2

    with client.start_as_current_observation(name="root"):
        one, two = body("one"), body("two")
        next(one), next(two)
        one.close()
        two.close()
        for _ in body("three"):
            pass
    assert current() is None


def test_contexts_of_tasks_do_not_hold_content(client: tracespool.Client) -> None:
    class Tracked(dict):  # type: ignore[type-arg]
        pass

    import weakref

    value = Tracked(a=1)
    gone = weakref.ref(value)
    with client.start_as_current_observation(name="root", input=value):
        kept = contextvars.copy_context()
        plain(value)
    del value
    gc.collect()
    assert gone() is None and kept is not None
