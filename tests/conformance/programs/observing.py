"""`observe` in all its forms."""

from __future__ import annotations

import asyncio
import functools
import inspect
from datetime import datetime, timezone

from library import attempt, langfuse, say

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


def keyword_only_and_default_arguments():
    @langfuse.observe()
    def function(a, b=2, *, c=3):
        return a

    function(1)
    function(a=1, c=5)


def observed_classes():
    class Thing:
        @langfuse.observe(name="made")
        def __init__(self, x):
            self.x = x

        @langfuse.observe(name="called")
        def __call__(self, y):
            return self.x + y

        @langfuse.observe(name="entered")
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    with Thing(1) as thing:
        say("sum", thing(2))
