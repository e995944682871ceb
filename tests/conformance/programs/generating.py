"""`observe` on generators, and on functions whose result is streamed."""

from __future__ import annotations

import asyncio
import gc

from library import attempt, langfuse, say


class Refused(Exception):
    """What the programs raise."""


def generators():
    @langfuse.observe()
    def words(n):
        langfuse.get_client().update_current_span(metadata={"begun": True})
        for at in range(n):
            yield f"word{at} "

    @langfuse.observe()
    def numbers():
        yield 1
        yield {"two": 2}
        return "end"

    @langfuse.observe()
    def nothing():
        yield from ()

    say("words", list(words(3)))
    say("numbers", list(numbers()))
    say("nothing", list(nothing()))


def generators_with_a_transform():
    @langfuse.observe(transform_to_string=lambda items: "|".join(str(item) for item in items))
    def numbers():
        yield 1
        yield 2

    @langfuse.observe(transform_to_string=lambda items: f"{len(list(items))} items")
    async def later():
        yield "a"
        yield "b"

    async def run():
        return [item async for item in later()]

    say("numbers", list(numbers()))
    say("later", asyncio.run(run()))


def a_transform_that_fails():
    def transform(items):
        raise Refused("no")

    @langfuse.observe(transform_to_string=transform)
    def numbers():
        yield 1

    say("items", attempt("iterate", lambda: list(numbers())))


def a_generator_left_half_way():
    @langfuse.observe()
    def words():
        try:
            yield "one"
            yield "two"
        finally:
            say("closed", True)

    generator = words()
    say("first", next(generator))
    generator.close()


def a_generator_that_raises():
    @langfuse.observe()
    def words():
        yield "one"
        raise Refused("in the middle")

    def run():
        return list(words())

    attempt("iterate", run)


def a_generator_inside_a_block():
    client = langfuse.get_client()

    @langfuse.observe()
    def words():
        with client.start_as_current_observation(name="in the generator"):
            yield client.get_current_observation_id() is not None
            yield 2

    with client.start_as_current_observation(name="outside") as outside:
        for item in words():
            client.start_observation(name=f"between {item}").end()
            say("current between", client.get_current_observation_id() == outside.id)


def a_generator_consumed_later():
    client = langfuse.get_client()

    @langfuse.observe()
    def words():
        client.start_observation(name="inner").end()
        yield "w"

    with client.start_as_current_observation(name="outside"):
        generator = words()
    say("items", list(generator))


def two_generators_at_once():
    client = langfuse.get_client()

    @langfuse.observe()
    def words(name):
        for at in range(2):
            client.start_observation(name=f"{name}{at}").end()
            yield at

    with client.start_as_current_observation(name="outside"):
        say("items", list(zip(words("a"), words("b"))))


def async_generators():
    @langfuse.observe()
    async def words():
        for at in range(3):
            await asyncio.sleep(0)
            yield f"{at} "

    @langfuse.observe(as_type="chain")
    async def top():
        return [word async for word in words()]

    say("items", asyncio.run(top()))


def an_async_generator_left_half_way():
    @langfuse.observe()
    async def words():
        try:
            yield "one"
            yield "two"
        finally:
            say("closed", True)

    async def run():
        generator = words()
        say("first", await anext(generator))
        await generator.aclose()

    asyncio.run(run())


def an_async_generator_that_raises():
    @langfuse.observe()
    async def words():
        yield "one"
        raise Refused("in the middle")

    async def run():
        return [word async for word in words()]

    attempt("iterate", lambda: asyncio.run(run()))


def observations_inside_an_async_generator():
    client = langfuse.get_client()

    @langfuse.observe()
    async def words():
        with client.start_as_current_observation(name="step"):
            yield 1
        client.start_observation(name="last").end()
        yield 2

    async def run():
        with client.start_as_current_observation(name="outside"):
            async for item in words():
                client.start_observation(name=f"between {item}").end()

    asyncio.run(run())


def generators_that_take_values():
    @langfuse.observe()
    def echo():
        got = yield "ready"
        while got is not None:
            got = yield got
        return "done"

    def run():
        generator = echo()
        return [next(generator), generator.send("a"), generator.send("b")]

    say("items", attempt("send", run))


def a_function_that_returns_a_generator():
    @langfuse.observe()
    def make():
        return (n for n in range(3))

    @langfuse.observe()
    def make_async():
        async def numbers():
            yield 1

        return numbers()

    async def run():
        return [n async for n in make_async()]

    say("items", [list(make()), asyncio.run(run())])


def a_coroutine_that_returns_an_async_generator():
    async def numbers():
        yield "a"
        yield "b"

    @langfuse.observe()
    async def make():
        return numbers()

    async def run():
        return [n async for n in await make()]

    say("items", asyncio.run(run()))


def streaming_responses():
    class StreamingResponse:
        def __init__(self, body):
            self.body_iterator = body

    async def body():
        langfuse.get_client().start_observation(name="inside the body").end()
        yield "chunk one, "
        yield "chunk two"

    @langfuse.observe()
    async def endpoint(question):
        return StreamingResponse(body())

    async def run():
        response = await endpoint("q")
        say("kind", type(response).__name__)
        return [chunk async for chunk in response.body_iterator]

    say("chunks", asyncio.run(run()))


def starlette_responses():
    from starlette.responses import StreamingResponse

    async def body():
        langfuse.get_client().start_observation(name="inside the body").end()
        yield b"one "
        yield "two"

    @langfuse.observe()
    async def endpoint():
        return StreamingResponse(body())

    @langfuse.observe()
    def plain_endpoint():
        return StreamingResponse(iter(["a", "b"]))

    async def run():
        return [[chunk async for chunk in (await endpoint()).body_iterator], [chunk async for chunk in plain_endpoint().body_iterator]]

    say("chunks", [len(chunks) for chunks in asyncio.run(run())])


def a_streaming_body_that_raises():
    from starlette.responses import StreamingResponse

    async def body():
        yield "one"
        raise Refused("half way")

    @langfuse.observe()
    async def endpoint():
        return StreamingResponse(body())

    async def run():
        response = await endpoint()
        return [chunk async for chunk in response.body_iterator]

    attempt("stream", lambda: asyncio.run(run()))


def a_generator_never_begun():
    @langfuse.observe()
    def words():
        yield "w"

    words()
    gc.collect()


def a_generator_dropped_half_way():
    @langfuse.observe()
    def words():
        yield "one"
        yield "two"

    generator = words()
    say("first", next(generator))
    del generator
    gc.collect()


def an_async_generator_dropped_half_way():
    @langfuse.observe()
    async def words():
        yield "one"
        yield "two"

    async def run():
        async for word in words():
            say("word", word)
            break
        gc.collect()
        await asyncio.sleep(0.01)

    asyncio.run(run())
