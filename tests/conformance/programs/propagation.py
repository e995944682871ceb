"""`propagate_attributes` in all its forms and limits."""

from __future__ import annotations

import asyncio
import threading

from library import attempt, langfuse, say, settings


def everything():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(
        user_id="user",
        session_id="session",
        metadata={"a": "text", "b": 1, "c": {"d": [1, None]}, "e": True, "f": 1.5, "g": None},
        version="v1",
        tags=["one", "two"],
        trace_name="the trace",
        environment="staging",
        prompt={"name": "greet", "version": 3},
    ):
        with client.start_as_current_observation(name="root"):
            client.start_observation(name="child", as_type="generation").end()
    client.start_observation(name="outside").end()


def on_the_current_observation():
    client = langfuse.get_client()
    with client.start_as_current_observation(name="root"):
        client.start_observation(name="before").end()
        with langfuse.propagate_attributes(user_id="user", tags=["t"], metadata={"k": "v"}, trace_name="n"):
            client.start_observation(name="inside").end()
        client.start_observation(name="after").end()


def on_the_current_observation_only():
    client = langfuse.get_client()
    with client.start_as_current_observation(name="root"):
        with client.start_as_current_observation(name="middle"):
            with langfuse.propagate_attributes(session_id="s"):
                client.start_observation(name="inside").end()


def nested_values_replace():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(user_id="outer", session_id="s", version="1", trace_name="outer", environment="one"):
        with langfuse.propagate_attributes(user_id="inner", version="2", trace_name="inner", environment="two"):
            client.start_observation(name="inside").end()
        client.start_observation(name="outside").end()


def nested_tags_and_metadata_add():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(tags=["a", "b"], metadata={"x": "1", "y": "1"}):
        with langfuse.propagate_attributes(tags=["b", "c"], metadata={"y": "2", "z": "3"}):
            client.start_observation(name="inside").end()
        client.start_observation(name="outside").end()


def nested_around_observations():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(user_id="u"):
        with client.start_as_current_observation(name="root"):
            with langfuse.propagate_attributes(session_id="s", tags=["t"]):
                with client.start_as_current_observation(name="child"):
                    client.start_observation(name="grandchild").end()
            client.start_observation(name="sibling").end()


def texts_at_the_limit():
    client = langfuse.get_client()
    for length in (200, 201):
        for name in ("user_id", "session_id", "version", "trace_name"):
            with langfuse.propagate_attributes(**{name: "x" * length}):
                client.start_observation(name=f"{name} of {length}").end()
    with langfuse.propagate_attributes(user_id="ü" * 200):
        client.start_observation(name="of 400 bytes").end()


def tags_at_the_limit():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(tags=["short", "x" * 200, "y" * 201]):
        client.start_observation(name="one").end()
    with langfuse.propagate_attributes(tags=["y" * 201]):
        client.start_observation(name="two").end()


def metadata_at_the_limit():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(
        metadata={"long": "x" * 201, "at": "y" * 200, "inside": "z" * 198, "short": "s", "object": {"k": "x" * 300}, "list": [1] * 50}
    ):
        client.start_observation(name="one").end()


def empty_values():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(user_id="", session_id="", tags=[], metadata={}, version="", trace_name=""):
        client.start_observation(name="one").end()
    with langfuse.propagate_attributes():
        client.start_observation(name="two").end()
    with langfuse.propagate_attributes(user_id=None, tags=None, metadata=None):
        client.start_observation(name="three").end()


def values_of_other_types():
    client = langfuse.get_client()
    for name, given in {
        "number": {"user_id": 5},
        "numbers in tags": {"tags": ["a", 1]},
        "text as tags": {"tags": "abc"},
        "text with commas as tags": {"tags": "a, b"},
        "tuple as tags": {"tags": ("a", "b")},
        "list as metadata": {"metadata": [1]},
        "number as a key": {"metadata": {1: "a"}},
    }.items():

        def run(name=name, given=given):
            with langfuse.propagate_attributes(**given):
                client.start_observation(name=name).end()

        attempt(name, run)


def metadata_of_all_kinds():
    from datetime import datetime, timezone
    from enum import Enum
    from uuid import UUID

    class Colour(Enum):
        RED = "red"

    client = langfuse.get_client()
    with langfuse.propagate_attributes(
        metadata={
            "int": 1,
            "negative": -1,
            "float": 0.25,
            "whole": 2.0,
            "true": True,
            "none": None,
            "text": "t",
            "empty": "",
            "unicode": "ü🦀",
            "object": {"a": {"b": 1}},
            "list": [1, "2"],
            "datetime": datetime(2026, 1, 1, tzinfo=timezone.utc),
            "uuid": UUID(int=1),
            "enum": Colour.RED,
            "set": {1},
            "large": 2**60,
            "nan": float("nan"),
            "key.with.dots": 1,
            "key with blanks": 2,
        }
    ):
        client.start_observation(name="one").end()


def environments():
    client = langfuse.get_client()
    for environment in ("prod", "a-b_9", "PROD", "langfuse-x", "with blank", "x" * 40, "y" * 41, ""):
        with langfuse.propagate_attributes(environment=environment):
            client.start_observation(name=f"in {environment}").end()


@settings(LANGFUSE_TRACING_ENVIRONMENT="from-settings", LANGFUSE_RELEASE="r")
def an_environment_over_the_settings():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(environment="inner"):
        client.start_observation(name="inside").end()
        client.create_score(name="inside", value=1, trace_id="0" * 31 + "1")
    client.start_observation(name="outside").end()


def a_version_of_the_scope_and_of_the_observation():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(version="scope"):
        client.start_observation(name="own", version="own").end()
        client.start_observation(name="scope").end()
        one = client.start_observation(name="updated")
        one.update(version="updated")
        one.end()


def a_prompt_of_the_scope_and_of_the_observation():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(prompt={"name": "outer", "version": 1}):
        for kind in ("generation", "span", "agent", "embedding"):
            client.start_observation(name=f"a {kind}", as_type=kind).end()
        client.start_observation(name="event", as_type="generation", model="m").end()


def as_a_decorator():
    client = langfuse.get_client()

    def decorate():
        @langfuse.propagate_attributes(user_id="u")
        def function():
            client.start_observation(name="inside").end()

        function()
        function()

    attempt("decorate", decorate)


def inside_observe():
    client = langfuse.get_client()

    @langfuse.observe()
    def inner():
        return 1

    @langfuse.observe()
    def outer():
        with langfuse.propagate_attributes(user_id="u", session_id="s"):
            return inner()

    outer()
    client.start_observation(name="after").end()


def around_observe():
    @langfuse.observe()
    def function():
        return 1

    with langfuse.propagate_attributes(user_id="u", trace_name="t"):
        function()


def over_generators():
    client = langfuse.get_client()

    @langfuse.observe()
    def words():
        client.start_observation(name="inside").end()
        yield 1

    with langfuse.propagate_attributes(user_id="u"):
        generator = words()
        list(generator)


def inside_a_generator():
    client = langfuse.get_client()

    @langfuse.observe()
    def words():
        with langfuse.propagate_attributes(user_id="inside"):
            yield 1
            client.start_observation(name="in the generator").end()
            yield 2

    for item in words():
        client.start_observation(name=f"between {item}").end()


def over_tasks():
    client = langfuse.get_client()

    async def work(user):
        with langfuse.propagate_attributes(user_id=user):
            await asyncio.sleep(0.005)
            client.start_observation(name=f"of {user}").end()

    async def run():
        with langfuse.propagate_attributes(session_id="shared"):
            await asyncio.gather(work("a"), work("b"))

    asyncio.run(run())


def over_threads():
    client = langfuse.get_client()

    def work():
        client.start_observation(name="in the thread").end()

    with langfuse.propagate_attributes(user_id="u"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()


def over_trace_contexts():
    client = langfuse.get_client()
    trace_id = client.create_trace_id(seed="propagated")
    with langfuse.propagate_attributes(user_id="u", tags=["t"]):
        client.start_observation(name="one", trace_context={"trace_id": trace_id, "parent_span_id": "00000000000000ab"}).end()


def events_and_updates_inside():
    client = langfuse.get_client()
    with client.start_as_current_observation(name="root") as root:
        with langfuse.propagate_attributes(user_id="u", metadata={"scope": "s"}):
            client.create_event(name="event")
            root.update(output=1, metadata={"own": "o"})
            with root.start_as_current_observation(name="child") as child:
                child.create_event(name="event of the child")


def after_an_exception():
    client = langfuse.get_client()

    def run():
        with langfuse.propagate_attributes(user_id="u"):
            client.start_observation(name="inside").end()
            raise ValueError("out")

    attempt("run", run)
    client.start_observation(name="after").end()


def children_of_what_is_not_current():
    client = langfuse.get_client()
    root = client.start_observation(name="root")
    with langfuse.propagate_attributes(user_id="u"):
        root.start_observation(name="inside").end()
    root.start_observation(name="after").end()
    root.end()


def begun_inside_and_used_outside():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(user_id="u"):
        root = client.start_observation(name="root")
    root.start_observation(name="child").end()
    with root.start_as_current_observation(name="current child"):
        client.start_observation(name="grandchild").end()
    root.end()


def scores_inside():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(user_id="u", environment="scope", metadata={"k": "v"}):
        with client.start_as_current_observation(name="one") as one:
            one.score(name="span", value=1)
            client.score_current_trace(name="trace", value=2)


def as_baggage():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(user_id="u", tags=["t"], as_baggage=True):
        client.start_observation(name="one").end()


def unknown_arguments():
    def run():
        with langfuse.propagate_attributes(colour="red"):
            langfuse.get_client().start_observation(name="one").end()

    attempt("run", run)


def entered_by_hand():
    client = langfuse.get_client()
    block = langfuse.propagate_attributes(user_id="u")
    block.__enter__()
    client.start_observation(name="inside").end()
    block.__exit__(None, None, None)
    client.start_observation(name="outside").end()


def many_keys():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(metadata={f"key{at}": at for at in range(30)}, tags=[f"tag{at}" for at in range(30)]):
        client.start_observation(name="one").end()
