"""Explicit traces, seeded ids, threads, tasks, several clients, errors that leave a block, events."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading

from library import attempt, langfuse, say

_TRACE = "0123456789abcdef0123456789abcdef"
_SPAN = "0123456789abcdef"


def seeded_ids():
    client = langfuse.get_client()
    for seed in ("", "a", "order 5", "ünï🦀", "x" * 1000):
        say(f"trace of {seed[:9]}", client.create_trace_id(seed=seed))
    say("by the class", langfuse.Langfuse.create_trace_id(seed="a"))
    one, two = client.create_trace_id(), client.create_trace_id()
    say("random", [len(one), one != two, one == one.lower()])


def explicit_traces():
    client = langfuse.get_client()
    trace_id = client.create_trace_id(seed="explicit")
    with client.start_as_current_observation(name="root", trace_context={"trace_id": trace_id}) as root:
        say("trace", [root.trace_id == trace_id, client.get_current_trace_id() == trace_id])
        client.start_observation(name="child").end()
    client.start_observation(name="second root", trace_context={"trace_id": trace_id}).end()


def explicit_parents():
    client = langfuse.get_client()
    context = {"trace_id": _TRACE, "parent_span_id": _SPAN}
    with client.start_as_current_observation(name="remote child", trace_context=context):
        client.start_observation(name="child").end()
    client.start_observation(name="another", trace_context=context, as_type="generation").end()
    client.create_event(name="event", trace_context=context)


def an_explicit_trace_inside_another():
    client = langfuse.get_client()
    with client.start_as_current_observation(name="outer"):
        with client.start_as_current_observation(name="elsewhere", trace_context={"trace_id": _TRACE}):
            client.start_observation(name="child").end()
        client.start_observation(name="sibling").end()


def traces_in_capitals():
    client = langfuse.get_client()
    one = client.start_observation(name="one", trace_context={"trace_id": _TRACE.upper(), "parent_span_id": _SPAN.upper()})
    say("trace", one.trace_id)
    one.end()


def bad_trace_contexts():
    client = langfuse.get_client()
    for name, context in {
        "short": {"trace_id": "abc"},
        "not hexadecimal": {"trace_id": "z" * 32},
        "zeros": {"trace_id": "0" * 32},
        "short parent": {"trace_id": _TRACE, "parent_span_id": "abc"},
        "bad parent": {"trace_id": _TRACE, "parent_span_id": "z" * 16},
        "no parent": {"trace_id": _TRACE, "parent_span_id": None},
        "empty": {},
        "parent alone": {"parent_span_id": _SPAN},
    }.items():
        attempt(name, lambda: client.start_observation(name=name, trace_context=context).end())


def exceptions_in_blocks():
    client = langfuse.get_client()

    def run():
        with client.start_as_current_observation(name="outer"):
            with client.start_as_current_observation(name="inner", as_type="tool"):
                raise ValueError("bad")

    attempt("run", run)


def exceptions_without_text():
    client = langfuse.get_client()

    def run():
        with client.start_as_current_observation(name="one"):
            raise KeyError

    attempt("run", run)


def exceptions_after_a_level():
    client = langfuse.get_client()

    def run():
        with client.start_as_current_observation(name="one") as one:
            one.update(level="WARNING", status_message="careful")
            raise ValueError("bad")

    attempt("run", run)


def exceptions_when_not_ended_on_exit():
    client = langfuse.get_client()
    kept = []

    def run():
        with client.start_as_current_observation(name="one", end_on_exit=False) as one:
            kept.append(one)
            raise ValueError("bad")

    attempt("run", run)
    kept[0].end()


def exits_and_interrupts_in_blocks():
    client = langfuse.get_client()
    for error in (SystemExit(2), KeyboardInterrupt(), GeneratorExit()):
        try:
            with client.start_as_current_observation(name=type(error).__name__):
                raise error
        except BaseException as caught:
            say("went through", type(caught).__name__)


def cancelled_blocks():
    client = langfuse.get_client()

    async def work():
        with client.start_as_current_observation(name="one"):
            await asyncio.sleep(10)

    async def run():
        task = asyncio.create_task(work())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def exceptions_caught_in_the_block():
    client = langfuse.get_client()
    with client.start_as_current_observation(name="one") as one:
        try:
            raise ValueError("caught")
        except ValueError as error:
            one.update(level="ERROR", status_message=str(error))


def events():
    client = langfuse.get_client()
    event = client.create_event(
        name="alone", input={"i": 1}, output="o", metadata={"m": 1}, version="v", level="WARNING", status_message="s"
    )
    say("ids", [len(event.trace_id), len(event.id)])
    with client.start_as_current_observation(name="root") as root:
        client.create_event(name="by the client")
        root.create_event(name="by the observation", input="i", level="ERROR", status_message="bad")
        child = root.start_observation(name="child")
        child.create_event(name="by the child", output=[1])
        child.end()


def events_of_what_is_not_current():
    client = langfuse.get_client()
    root = client.start_observation(name="root")
    root.create_event(name="event")
    root.end()
    root.create_event(name="late event")


def events_as_a_type():
    client = langfuse.get_client()
    root = client.start_observation(name="root")
    attempt("outside", lambda: root.start_observation(name="outside", as_type="event"))
    with client.start_as_current_observation(name="other"):
        attempt("inside", lambda: root.start_observation(name="inside", as_type="event"))
    root.end()


def events_that_are_updated():
    client = langfuse.get_client()
    event = client.create_event(name="event", output="before")
    attempt("update", event.update, output="after")
    attempt("end", event.end)


def threads():
    client = langfuse.get_client()

    def work(name):
        with client.start_as_current_observation(name=name):
            client.start_observation(name="inner").end()

    with client.start_as_current_observation(name="root"):
        started = [threading.Thread(target=work, args=(f"thread {at}",)) for at in range(3)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()


def threads_with_a_context():
    client = langfuse.get_client()

    def work(name):
        client.start_observation(name=name).end()

    with client.start_as_current_observation(name="root"):
        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: context.run(work, "in the thread"))
        thread.start()
        thread.join()


def threads_with_the_observation():
    client = langfuse.get_client()
    with client.start_as_current_observation(name="root") as root:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for at in range(3):
                pool.submit(lambda at=at: root.start_observation(name=f"task {at}", input=at).end()).result()


def threads_of_asyncio():
    client = langfuse.get_client()

    async def run():
        with client.start_as_current_observation(name="root"):
            await asyncio.to_thread(lambda: client.start_observation(name="in the thread").end())

    asyncio.run(run())


def tasks():
    client = langfuse.get_client()

    async def work(name):
        with client.start_as_current_observation(name=name):
            await asyncio.sleep(0.001)
            client.update_current_span(output=name)

    async def run():
        with client.start_as_current_observation(name="root"):
            await asyncio.gather(work("a"), work("b"), asyncio.create_task(work("c")))
        await work("outside")

    asyncio.run(run())


def a_block_that_ends_in_another_context():
    client = langfuse.get_client()
    block = client.start_as_current_observation(name="one")
    context = contextvars.copy_context()
    context.run(block.__enter__)
    attempt("exit", block.__exit__, None, None, None)
    client.start_observation(name="after").end()


def blocks_left_in_the_wrong_order():
    client = langfuse.get_client()
    one, two = client.start_as_current_observation(name="one"), client.start_as_current_observation(name="two")
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    client.start_observation(name="between").end()
    two.__exit__(None, None, None)


def several_clients():
    one = langfuse.Langfuse(public_key="pk-one", secret_key="sk-one", environment="a", release="ra")
    two = langfuse.Langfuse(public_key="pk-two", secret_key="sk-two", environment="b")
    one.start_observation(name="of one").end()
    two.start_observation(name="of two").end()
    one.create_score(name="of one", value=1, trace_id=_TRACE)
    two.create_score(name="of two", value=2, trace_id=_TRACE)


def an_observation_inside_one_of_another_client():
    one = langfuse.Langfuse(public_key="pk-one", secret_key="sk-one")
    two = langfuse.Langfuse(public_key="pk-two", secret_key="sk-two")
    with one.start_as_current_observation(name="of one"):
        with two.start_as_current_observation(name="of two"):
            two.start_observation(name="child of two").end()
            one.start_observation(name="child of one").end()


def clients_by_key():
    langfuse.Langfuse(public_key="pk-one", secret_key="sk-one")
    langfuse.Langfuse(public_key="pk-two", secret_key="sk-two")
    langfuse.get_client(public_key="pk-two").start_observation(name="of two").end()
    langfuse.get_client(public_key="pk-one").start_observation(name="of one").end()
    attempt("unknown", lambda: langfuse.get_client(public_key="pk-three").start_observation(name="of three").end())


def a_client_of_several_without_a_key():
    langfuse.Langfuse(public_key="pk-one", secret_key="sk-one")
    langfuse.Langfuse(public_key="pk-two", secret_key="sk-two")
    attempt("without", lambda: langfuse.get_client().start_observation(name="whose").end())


def the_client_of_the_environment():
    langfuse.get_client().start_observation(name="first").end()
    langfuse.get_client().start_observation(name="second").end()


def a_client_made_twice():
    langfuse.Langfuse().start_observation(name="first").end()
    langfuse.Langfuse(environment="other").start_observation(name="second").end()


def current_ids():
    client = langfuse.get_client()
    say("outside", [client.get_current_trace_id(), client.get_current_observation_id()])
    with client.start_as_current_observation(name="one") as one:
        say("trace", client.get_current_trace_id() == one.trace_id)
        other = client.start_observation(name="not current")
        say("observation", client.get_current_observation_id() == one.id)
        other.end()
