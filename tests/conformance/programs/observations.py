"""Observations by the client and by each other."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from library import attempt, langfuse, say, settings

_TYPES = ("span", "generation", "embedding", "agent", "tool", "chain", "retriever", "evaluator", "guardrail")
_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc)


def started_and_ended():
    client = langfuse.Langfuse()
    span = client.start_observation(name="alone", input={"q": 1}, output=["a"], metadata={"k": "v"})
    say("ids", [len(span.trace_id), len(span.id)])
    say("end returns itself", span.end() is span)


def every_type_by_the_client():
    client = langfuse.Langfuse()
    for kind in _TYPES:
        client.start_observation(name=f"a {kind}", as_type=kind, input=kind).end()


def every_type_as_current():
    client = langfuse.Langfuse()
    for kind in _TYPES:
        with client.start_as_current_observation(name=f"a {kind}", as_type=kind, input=kind) as one:
            one.update(output=kind.upper())


def every_type_below_an_observation():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="root") as root:
        for kind in _TYPES:
            root.start_observation(name=f"a {kind}", as_type=kind).end()
            with root.start_as_current_observation(name=f"a current {kind}", as_type=kind) as one:
                one.start_observation(name="inner").end()


def an_unknown_type():
    client = langfuse.Langfuse()
    attempt("start", lambda: client.start_observation(name="odd", as_type="llm").end())


def a_type_in_capitals():
    client = langfuse.Langfuse()
    attempt("start", lambda: client.start_observation(name="odd", as_type="GENERATION").end())


def nested_blocks():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="one") as one:
        say("current", [client.get_current_trace_id() == one.trace_id, client.get_current_observation_id() == one.id])
        with client.start_as_current_observation(name="two"):
            with client.start_as_current_observation(name="three", as_type="generation"):
                client.start_observation(name="four").end()
        client.start_observation(name="five").end()
    say("after", [client.get_current_trace_id(), client.get_current_observation_id()])


def children_of_what_is_not_current():
    client = langfuse.Langfuse()
    root = client.start_observation(name="root")
    child = root.start_observation(name="child")
    grandchild = child.start_observation(name="grandchild", as_type="tool")
    say("same trace", root.trace_id == grandchild.trace_id)
    grandchild.end()
    child.end()
    root.end()


def a_child_named_beside_the_current_one():
    client = langfuse.Langfuse()
    one = client.start_observation(name="one")
    with client.start_as_current_observation(name="two"):
        one.start_observation(name="of one").end()
        client.start_observation(name="of two").end()
        with one.start_as_current_observation(name="of one, current"):
            client.start_observation(name="deeper").end()
    one.end()


def two_traces():
    client = langfuse.Langfuse()
    for name in ("first", "second"):
        with client.start_as_current_observation(name=name):
            client.start_observation(name=f"inside {name}").end()


def a_child_that_ends_after_its_parent():
    client = langfuse.Langfuse()
    root = client.start_observation(name="root")
    child = root.start_observation(name="child")
    root.end()
    child.update(output="late")
    child.end()


def a_child_begun_after_its_parent_ended():
    client = langfuse.Langfuse()
    root = client.start_observation(name="root")
    root.end()
    root.start_observation(name="child").end()


def not_ended_on_exit():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="kept open", end_on_exit=False) as one:
        one.update(output="inside")
    one.update(metadata={"after": True})
    one.end()


def ended_inside_its_block():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="early") as one:
        one.update(output=1)
        one.end()
        one.update(output=2)
        client.start_observation(name="child").end()


def ended_twice():
    client = langfuse.Langfuse()
    one = client.start_observation(name="twice")
    one.end()
    one.end()


def updated_after_the_end():
    client = langfuse.Langfuse()
    one = client.start_observation(name="over", output="before")
    one.end()
    say("update returns itself", one.update(output="after", metadata={"late": 1}) is one)


def an_end_time():
    client = langfuse.Langfuse()
    client.start_observation(name="past").end(end_time=1_700_000_000_000_000_000)
    client.start_observation(name="future").end(end_time=2_000_000_000_123_456_789)


def an_end_time_on_a_child():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="root") as root:
        child = root.start_observation(name="child")
        say("end returns itself", child.end(end_time=2_000_000_000_000_000_000) is child)


def never_ended():
    client = langfuse.Langfuse()
    client.start_observation(name="forgotten", input=1)
    client.start_observation(name="ended").end()


def everything_at_the_start():
    client = langfuse.Langfuse()
    client.start_observation(
        name="full",
        as_type="generation",
        input=[{"role": "user", "content": "hi"}],
        output={"role": "assistant", "content": "yo"},
        metadata={"a": 1, "b": {"c": [1, 2]}},
        version="v1",
        level="WARNING",
        status_message="careful",
        completion_start_time=_AT,
        model="gpt-5.6",
        model_parameters={"temperature": 0.7, "max_tokens": 500, "stop": ["a", "b"], "stream": True, "none": None},
        usage_details={"input": 10, "output": 5, "total": 15, "cache_read_input_tokens": 2},
        cost_details={"input": 0.001, "output": 0.002, "total": 0.003},
        prompt=None,
    ).end()


def everything_by_update():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="full", as_type="generation") as one:
        say(
            "update returns itself",
            one.update(
                name="renamed",
                input="question",
                output="answer",
                metadata={"a": "x"},
                version="v2",
                level="DEBUG",
                status_message="fine",
                completion_start_time=_AT + timedelta(hours=1),
                model="m",
                model_parameters={"top_p": 1},
                usage_details={"input": 1},
                cost_details={"total": 1.5},
            )
            is one,
        )


def generation_fields_on_every_type():
    client = langfuse.Langfuse()
    for kind in _TYPES:
        client.start_observation(
            name=f"a {kind}",
            as_type=kind,
            model="m",
            model_parameters={"t": 1},
            usage_details={"input": 1},
            cost_details={"total": 0.5},
            completion_start_time=_AT,
        ).end()


def generation_fields_by_update_on_every_type():
    client = langfuse.Langfuse()
    for kind in _TYPES:
        one = client.start_observation(name=f"a {kind}", as_type=kind)
        one.update(model="m", usage_details={"input": 1}, cost_details={"total": 0.5}, model_parameters={"t": 1})
        one.end()


def updates_replace():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="one", input="a", output={"x": 1}) as one:
        one.update(input="b", output=[2], version="1")
        one.update(output="c", version="2", level="ERROR", status_message="bad")
        one.update(level="DEFAULT", status_message="good")
        one.update(usage_details={"input": 1})


def updates_with_none_change_nothing():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="one", input="a", output="b", metadata={"k": 1}) as one:
        one.update(input=None, output=None, metadata=None, level=None, version=None, name=None)
        one.update()


def metadata_merges():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="one", metadata={"a": 1, "b": {"x": 1}}) as one:
        one.update(metadata={"b": {"y": 2}, "c": 3})
        one.update(metadata={"a": None, "c": [4]})


def renamed():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="before") as one:
        one.update(name="after")
        client.start_observation(name="child").end()


def update_current_span():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="one"):
        client.update_current_span(
            name="new name", input={"i": 1}, output={"o": 2}, metadata={"m": 3}, version="v", level="WARNING", status_message="s"
        )


def update_current_generation():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="one", as_type="generation"):
        client.update_current_generation(
            name="new name",
            input="i",
            output="o",
            metadata={"m": 3},
            version="v",
            level="DEFAULT",
            status_message="s",
            completion_start_time=_AT,
            model="m",
            model_parameters={"t": 0},
            usage_details={"input": 3},
            cost_details={"total": 4.5},
        )


def update_current_generation_on_other_types():
    client = langfuse.Langfuse()
    for kind in ("embedding", "span"):
        with client.start_as_current_observation(name=f"an {kind}", as_type=kind):
            client.update_current_generation(model="m", usage_details={"input": 3})


def update_current_span_on_a_generation():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="one", as_type="generation"):
        client.update_current_span(output="o")


def updates_of_the_current_one_outside():
    client = langfuse.Langfuse()
    attempt("span", client.update_current_span, output=1)
    attempt("generation", client.update_current_generation, output=1)
    attempt("public", client.set_current_trace_as_public)
    client.start_observation(name="one").end()


def public_traces():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="by the client"):
        client.set_current_trace_as_public()
        client.start_observation(name="child").end()
    with client.start_as_current_observation(name="by the observation") as one:
        one.set_trace_as_public()


def unknown_arguments_of_update():
    client = langfuse.Langfuse()
    one = client.start_observation(name="one")
    attempt("update", one.update, output=1, colour="red")
    one.end()


def blocks_as_decorators():
    client = langfuse.Langfuse()

    @client.start_as_current_observation(name="decorated", as_type="tool", input="fixed")
    def double(x):
        client.update_current_span(output=2 * x)
        return 2 * x

    say("result", [attempt("first call", double, 2), attempt("second call", double, 3)])


def an_observation_as_a_block():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="outer") as outer:
        inner = outer.start_as_current_observation(name="inner")
        with inner as one:
            say("current", client.get_current_observation_id() == one.id)


def names_of_all_kinds():
    client = langfuse.Langfuse()
    for name in ("", "two words", "ünïcödé 🦀", "with\nline", "x" * 300):
        client.start_observation(name=name, input=len(name)).end()


def versions_and_levels():
    client = langfuse.Langfuse()
    for level in ("DEBUG", "DEFAULT", "WARNING", "ERROR"):
        client.start_observation(name=level, level=level, status_message=f"is {level}", version=level).end()
        client.start_observation(name=f"{level} alone", level=level).end()
    client.start_observation(name="message alone", status_message="only this").end()


def errors_that_are_taken_back():
    client = langfuse.Langfuse()
    one = client.start_observation(name="one", level="ERROR", status_message="first")
    one.update(status_message="second")
    one.end()
    two = client.start_observation(name="two", level="ERROR", status_message="bad")
    two.update(level="WARNING")
    two.end()


def status_message_before_the_level():
    client = langfuse.Langfuse()
    one = client.start_observation(name="one", status_message="early")
    one.update(level="ERROR")
    one.end()


def many_observations():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="root"):
        for at in range(700):
            client.start_observation(name=f"number {at}", input=at).end()
    client.flush()


def flushed_on_the_way():
    client = langfuse.Langfuse()
    for at in range(3):
        client.start_observation(name=f"number {at}").end()
        client.flush()


def shut_down():
    client = langfuse.Langfuse()
    client.start_observation(name="before").end()
    client.shutdown()
    client.start_observation(name="after").end()


def the_object_changes_later():
    client = langfuse.Langfuse()
    value = {"list": [1]}
    with client.start_as_current_observation(name="one", input=value, metadata={"m": value}):
        value["list"].append(2)


@settings(LANGFUSE_TRACING_ENVIRONMENT="staging", LANGFUSE_RELEASE="r1")
def observations_of_an_environment():
    client = langfuse.Langfuse()
    with client.start_as_current_observation(name="one"):
        client.start_observation(name="two").end()
