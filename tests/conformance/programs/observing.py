"""`observe` in all its forms."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from datetime import datetime, timezone

from library import attempt, langfuse, say, settings

_TYPES = ("span", "generation", "embedding", "agent", "tool", "chain", "retriever", "evaluator", "guardrail")


class Refused(Exception):
    """What the programs raise."""


def functions():
    @langfuse.observe
    def bare(a, b=2, *rest, c, **more):
        return {"sum": a + b}

    @langfuse.observe()
    def called():
        return None

    @langfuse.observe(name="named", as_type="generation")
    def other(x):
        """Its text."""
        return [x]

    say("results", [bare(1, 2, 3, c=4, d=5), called(), other("x")])
    say("dressed", [bare.__name__, other.__name__, other.__doc__, other.__wrapped__.__name__])
    say("signature", str(inspect.signature(bare)))


def every_type():
    for kind in _TYPES:

        @langfuse.observe(name=f"a {kind}", as_type=kind)
        def function():
            langfuse.get_client().update_current_span(metadata={"inside": True})
            return 1

        function()


def an_unknown_type():
    def decorate():
        @langfuse.observe(as_type="llm")
        def function():
            return 1

        return function()

    attempt("observe", decorate)


def nested():
    client = langfuse.get_client()

    @langfuse.observe()
    def leaf(n):
        say(f"ids of {n}", [client.get_current_trace_id() is not None, client.get_current_observation_id() is not None])
        return n

    @langfuse.observe(as_type="chain")
    def middle(n):
        with client.start_as_current_observation(name="block"):
            return leaf(n)

    @langfuse.observe(as_type="agent")
    def top():
        return [middle(n) for n in range(2)]

    top()


def recursion():
    @langfuse.observe()
    def factorial(n):
        return 1 if n < 2 else n * factorial(n - 1)

    say("result", factorial(4))


def methods():
    class Service:
        def __init__(self):
            self.secret = "not an argument"

        @langfuse.observe()
        def method(self, x):
            return x

        @classmethod
        @langfuse.observe(name="class method")
        def of_class(cls, x):
            return cls.__name__ + x

        @staticmethod
        @langfuse.observe(name="static method")
        def of_nobody(x):
            return x

        @property
        @langfuse.observe(name="property")
        def value(self):
            return 5

    service = Service()
    say("results", [service.method(1), Service.of_class("x"), service.of_class(x="y"), service.of_nobody(3), service.value])


def methods_with_keywords():
    class Service:
        @langfuse.observe()
        def method(self, a, *, b):
            return a + b

        @langfuse.observe()
        async def later(self, a):
            return a

    Service().method(a=1, b=2)
    asyncio.run(Service().later(a=1))


def a_class_method_outside():
    attempt("decorate", _class_method_outside)


def _class_method_outside():
    class Service:
        @langfuse.observe()
        @classmethod
        def method(cls, x):
            return x

    say("result", Service.method(1))


def coroutines():
    @langfuse.observe()
    async def leaf(n):
        await asyncio.sleep(0)
        return n * 2

    @langfuse.observe(as_type="agent", name="top")
    async def top():
        return sum(await asyncio.gather(leaf(1), leaf(2)))

    say("is a coroutine function", inspect.iscoroutinefunction(top))
    say("result", asyncio.run(top()))


def tasks():
    @langfuse.observe()
    async def work(n):
        await asyncio.sleep(0.01 * n)
        langfuse.get_client().update_current_span(metadata={"n": n})
        return n

    @langfuse.observe()
    async def top():
        one = asyncio.create_task(work(2))
        await work(1)
        return await one

    asyncio.run(top())


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


def exceptions():
    @langfuse.observe()
    def with_text():
        raise Refused("because")

    @langfuse.observe()
    def without_text():
        raise Refused

    @langfuse.observe(as_type="tool")
    def outer():
        with_text()

    @langfuse.observe()
    async def later():
        raise ValueError("later")

    for function in (with_text, without_text, outer):
        attempt(function.__name__, function)
    attempt("later", lambda: asyncio.run(later()))


def exceptions_that_are_caught_inside():
    @langfuse.observe()
    def inner():
        raise Refused("inner")

    @langfuse.observe()
    def outer():
        with contextlib.suppress(Refused):
            inner()
        return "fine"

    outer()


def an_exception_with_unicode_and_lines():
    @langfuse.observe()
    def function():
        raise ValueError("fürchterlich\nzweite Zeile 🦀")

    attempt("call", function)


def an_exit_inside():
    @langfuse.observe()
    def function():
        raise SystemExit(3)

    try:
        function()
    except SystemExit as error:
        say("code", error.code)


def an_interrupt_inside():
    @langfuse.observe()
    def function():
        raise KeyboardInterrupt

    try:
        function()
    except KeyboardInterrupt:
        say("interrupted", True)


def cancelled():
    @langfuse.observe()
    async def inner():
        await asyncio.sleep(10)

    @langfuse.observe()
    async def outer():
        await inner()

    async def run():
        task = asyncio.create_task(outer())
        await asyncio.sleep(0.02)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        say("cancelled", task.cancelled())

    asyncio.run(run())


def timed_out():
    @langfuse.observe()
    async def slow():
        await asyncio.sleep(10)

    async def run():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(slow(), 0.02)

    asyncio.run(run())


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


def without_capture():
    @langfuse.observe(capture_input=False)
    def no_input(secret):
        return "shown"

    @langfuse.observe(capture_output=False)
    def no_output(shown):
        return "secret"

    @langfuse.observe(capture_input=False, capture_output=False)
    def nothing(x):
        langfuse.get_client().update_current_span(input="by hand", output="by hand too")
        return x

    @langfuse.observe(capture_output=False)
    def words():
        yield "secret"

    no_input(1)
    no_output(2)
    nothing(3)
    list(words())


@settings(LANGFUSE_OBSERVE_DECORATOR_IO_CAPTURE_ENABLED="false")
def without_capture_by_the_environment():
    @langfuse.observe()
    def neither(x):
        return x

    @langfuse.observe(capture_input=True)
    def only_input(x):
        return x

    neither(1)
    only_input(2)


def updates_from_inside():
    client = langfuse.get_client()

    @langfuse.observe(name="original", as_type="generation")
    def function(x):
        client.update_current_generation(
            name="renamed", model="m", usage_details={"input": 1, "output": 2}, metadata={"k": "v"}, input="mine", output="mine too"
        )
        return "returned"

    function(1)


def scores_from_inside():
    client = langfuse.get_client()

    @langfuse.observe()
    def function():
        client.score_current_span(name="span", value=1)
        client.score_current_trace(name="trace", value="good")

    function()


def a_trace_of_ones_own():
    client = langfuse.get_client()
    trace_id = client.create_trace_id(seed="request 1")

    @langfuse.observe()
    def inner():
        return client.get_current_trace_id() == trace_id

    @langfuse.observe()
    def function(x):
        return inner()

    say("inside", function(1, langfuse_trace_id=trace_id))
    say("below", function(2, langfuse_trace_id=trace_id, langfuse_parent_observation_id="1234567890abcdef"))


def a_trace_of_ones_own_inside_another():
    client = langfuse.get_client()
    trace_id = client.create_trace_id(seed="request 2")

    @langfuse.observe()
    def function():
        return 1

    with client.start_as_current_observation(name="outer"):
        function(langfuse_trace_id=trace_id)
        function()


def a_parent_without_its_trace():
    @langfuse.observe()
    def function():
        return 1

    attempt("call", function, langfuse_parent_observation_id="1234567890abcdef")


def a_parent_without_its_trace_inside_another():
    client = langfuse.get_client()

    @langfuse.observe()
    def function():
        return 1

    with client.start_as_current_observation(name="outer"):
        function(langfuse_parent_observation_id="1234567890abcdef")


def a_bad_trace_id():
    @langfuse.observe()
    def function():
        return 1

    attempt("call", function, langfuse_trace_id="not hexadecimal")


def a_public_key_in_the_call():
    langfuse.Langfuse(public_key="pk-other", secret_key="sk-other")
    langfuse.Langfuse()

    @langfuse.observe()
    def inner():
        return 1

    @langfuse.observe()
    def function():
        return inner()

    function(langfuse_public_key="pk-other")
    function(langfuse_public_key="pk-lf-conformance")


def partials_and_callables():
    def add(a, b):
        return a + b

    class Adder:
        def __call__(self, a):
            return a + 1

    say("partial", attempt("partial", lambda: langfuse.observe(name="partial")(functools.partial(add, 1))(2)))
    say("callable", attempt("callable", lambda: langfuse.observe(name="callable")(Adder())(2)))
    say("lambda", attempt("lambda", lambda: langfuse.observe(lambda x: x)(2)))
    say("builtin", attempt("builtin", lambda: langfuse.observe(name="builtin")(len)([1])))


def decorated_functions():
    def shout(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs).upper()

        return wrapper

    @langfuse.observe()
    @shout
    def hello(name):
        return f"hello {name}"

    @shout
    @langfuse.observe()
    def goodbye(name):
        return f"goodbye {name}"

    say("results", [hello("a"), goodbye(name="b")])


def bound_methods():
    class Service:
        def method(self, x):
            return x

        @classmethod
        def of_class(cls, x):
            return x

        async def later(self, x):
            return x

    service = Service()
    say("method", attempt("method", lambda: langfuse.observe(name="method")(service.method)(1)))
    say("class method", attempt("class method", lambda: langfuse.observe(name="class method")(Service.of_class)(2)))
    say("later", attempt("later", lambda: asyncio.run(langfuse.observe(name="later")(service.later)(3))))
    say("unbound", attempt("unbound", lambda: langfuse.observe(name="unbound")(Service.method)(service, 4)))


def decorated_methods():
    def shout(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    class Service:
        @langfuse.observe()
        @shout
        def method(self, x):
            return x

    Service().method(1)


def an_exit_without_failure():
    @langfuse.observe()
    def function():
        raise SystemExit(0)

    try:
        function()
    except SystemExit as error:
        say("code", error.code)


def a_function_whose_first_argument_is_called_self():
    @langfuse.observe()
    def function(self, x):
        return x

    function("me", 1)


def arguments_of_all_kinds():
    class Opaque:
        __slots__ = ()

    @langfuse.observe()
    def function(*args, **kwargs):
        return args

    function(datetime(2026, 1, 1, tzinfo=timezone.utc), {1, 2}, b"x", None, float("nan"), Opaque(), kind=Opaque, number=10**30)
    function("text alone")
    function({"a": {"b": (1, 2)}}, flag=True)


def results_of_all_kinds():
    for value in (None, True, 0, 1.5, "", "text", [], {}, (), b"x", {"a": None}, [None], {1}, Refused("as a value"), object()):
        shown = "an object" if type(value) is object else repr(value)

        @langfuse.observe(name=f"returns {shown}")
        def function():
            return value

        function()


def a_large_result():
    @langfuse.observe()
    def function():
        return ["x" * 1000] * 300

    function()


def async_in_blocks():
    client = langfuse.get_client()

    async def child(n):
        with client.start_as_current_observation(name=f"child {n}"):
            await asyncio.sleep(0.001)
            client.start_observation(name=f"grandchild {n}").end()

    async def run():
        with client.start_as_current_observation(name="root"):
            await asyncio.gather(*(child(n) for n in range(3)))

    asyncio.run(run())
