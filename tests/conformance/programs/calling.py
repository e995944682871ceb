"""What happens in an observed call: exceptions, cancellation, reserved arguments, captures, updates from inside."""

from __future__ import annotations

import asyncio
import contextlib

from library import attempt, langfuse, say, settings


class Refused(Exception):
    """What the programs raise."""


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


def an_exit_without_failure():
    @langfuse.observe()
    def function():
        raise SystemExit(0)

    try:
        function()
    except SystemExit as error:
        say("code", error.code)
