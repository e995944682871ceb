"""Scores of five data types on traces, observations, sessions and dataset runs."""

from __future__ import annotations

import datetime
import decimal

from library import attempt, langfuse, say, settings

_TRACE = "0123456789abcdef0123456789abcdef"
_SPAN = "0123456789abcdef"


def data_types():
    client = langfuse.get_client()
    client.create_score(name="numeric", value=0.9, trace_id=_TRACE, data_type="NUMERIC")
    client.create_score(name="categorical", value="good", trace_id=_TRACE, data_type="CATEGORICAL")
    client.create_score(name="boolean", value=1, trace_id=_TRACE, data_type="BOOLEAN")
    client.create_score(name="text", value="a remark", trace_id=_TRACE, data_type="TEXT")
    client.create_score(name="correction", value="what it should be", trace_id=_TRACE, data_type="CORRECTION")
    say("returns", client.create_score(name="none given", value=1, trace_id=_TRACE))


def targets():
    client = langfuse.get_client()
    client.create_score(name="trace", value=1, trace_id=_TRACE)
    client.create_score(name="observation", value=1, trace_id=_TRACE, observation_id=_SPAN)
    client.create_score(name="session", value=1, session_id="s1")
    client.create_score(name="run", value=1, dataset_run_id="run1")


def two_targets():
    client = langfuse.get_client()
    attempt("both", client.create_score, name="both", value=1, trace_id=_TRACE, session_id="s")
    attempt("none", client.create_score, name="none", value=1)
    attempt("observation alone", client.create_score, name="observation alone", value=1, observation_id=_SPAN)


def everything():
    client = langfuse.get_client()
    client.create_score(
        name="full",
        value=0.5,
        trace_id=_TRACE,
        observation_id=_SPAN,
        score_id="mine",
        data_type="NUMERIC",
        comment="a comment",
        config_id="config",
        metadata={"a": 1, "b": {"c": [None, True]}},
        timestamp=datetime.datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=datetime.timezone.utc),
        environment="other",
    )


def values():
    client = langfuse.get_client()
    for name, value in {
        "int": 1,
        "float": 0.25,
        "true": True,
        "false": False,
        "negative": -1,
        "large": 10**12,
        "text": "t",
        "unicode": "ü🦀",
        "decimal": decimal.Decimal("0.5"),
        "zero": 0,
    }.items():
        attempt(name, client.create_score, name=name, value=value, trace_id=_TRACE)


def values_that_do_not_fit():
    client = langfuse.get_client()
    for name, value, kind in (
        ("text as a number", "x", "NUMERIC"),
        ("number as a category", 1, "CATEGORICAL"),
        ("two as a boolean", 2, "BOOLEAN"),
        ("not finite", float("nan"), "NUMERIC"),
        ("empty text", "", "TEXT"),
        ("long text", "x" * 501, "TEXT"),
        ("unknown type", 1, "STARS"),
        ("no value", None, None),
        ("a list", [1], None),
    ):
        attempt(name, client.create_score, name=name, value=value, trace_id=_TRACE, data_type=kind)


def booleans_with_and_without_the_type():
    client = langfuse.get_client()
    client.create_score(name="true", value=True, trace_id=_TRACE, data_type="BOOLEAN")
    client.create_score(name="false", value=False, trace_id=_TRACE, data_type="BOOLEAN")
    client.create_score(name="one", value=1.0, trace_id=_TRACE, data_type="BOOLEAN")


def timestamps():
    client = langfuse.get_client()
    plus = datetime.timezone(datetime.timedelta(hours=2))
    for name, value in {
        "utc": datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc),
        "offset": datetime.datetime(2026, 1, 1, 12, tzinfo=plus),
        "naive": datetime.datetime(2026, 1, 1, 12),
        "micros": datetime.datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=datetime.timezone.utc),
    }.items():
        client.create_score(name=name, value=1, trace_id=_TRACE, timestamp=value)


def metadata():
    client = langfuse.get_client()
    for name, value in {
        "dict": {"a": 1},
        "list": [1, "2"],
        "text": "t",
        "number": 5,
        "empty": {},
        "date": {"at": datetime.date(2026, 1, 1)},
        "set": {"s": {1}},
    }.items():
        attempt(name, client.create_score, name=name, value=1, trace_id=_TRACE, metadata=value)


def of_observations():
    client = langfuse.get_client()
    with client.start_as_current_observation(name="one") as one:
        say("score returns", one.score(name="span", value=1, comment="c", metadata={"k": "v"}))
        say("score_trace returns", one.score_trace(name="trace", value="cat", data_type="CATEGORICAL", config_id="cfg"))
        one.score(name="boolean", value=1, data_type="BOOLEAN", score_id="fixed")
        child = one.start_observation(name="child", as_type="generation")
        child.score(name="child", value=0.5, timestamp=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc))
        child.score_trace(name="trace by the child", value=0.5)
        child.end()
        child.score(name="after the end", value=1)


def of_the_current_observation():
    client = langfuse.get_client()
    with client.start_as_current_observation(name="outer"):
        with client.start_as_current_observation(name="inner"):
            client.score_current_span(name="span", value=1, data_type="NUMERIC", comment="c", config_id="x", metadata={"m": 1})
            client.score_current_trace(name="trace", value="text", data_type="TEXT", score_id="id")


def of_no_current_observation():
    client = langfuse.get_client()
    attempt("span", client.score_current_span, name="span", value=1)
    attempt("trace", client.score_current_trace, name="trace", value=1)
    client.create_score(name="one", value=1, trace_id=_TRACE)


def of_events():
    client = langfuse.get_client()
    with client.start_as_current_observation(name="root") as root:
        event = root.create_event(name="event")
        event.score(name="event", value=1)
        event.score_trace(name="trace", value=2)


@settings(LANGFUSE_TRACING_ENVIRONMENT="staging")
def environments():
    client = langfuse.get_client()
    client.create_score(name="of the client", value=1, trace_id=_TRACE)
    client.create_score(name="its own", value=1, trace_id=_TRACE, environment="other")
    with client.start_as_current_observation(name="one") as one:
        one.score(name="of the span", value=1)


def environments_of_a_scope():
    client = langfuse.get_client()
    with langfuse.propagate_attributes(environment="scope"):
        inside = client.start_observation(name="begun inside")
        client.create_score(name="by the client", value=1, trace_id=_TRACE)
    inside.score(name="after the scope", value=1)
    inside.end()
    with client.start_as_current_observation(name="begun outside") as outside:
        with langfuse.propagate_attributes(environment="scope"):
            outside.score(name="by the observation", value=1)
            client.score_current_span(name="current span", value=1)
            client.score_current_trace(name="current trace", value=1)
        client.score_current_trace(name="after the scope, current", value=1)


def empty_texts():
    client = langfuse.get_client()
    attempt("comment", client.create_score, name="comment", value=1, trace_id=_TRACE, comment="")
    attempt("name", client.create_score, name="", value=1, trace_id=_TRACE)
    attempt("category", client.create_score, name="category", value="", trace_id=_TRACE)
    attempt("trace", client.create_score, name="trace", value=1, trace_id="")


def identifiers_of_all_kinds():
    client = langfuse.get_client()
    client.create_score(name="not hexadecimal", value=1, trace_id="my-trace")
    client.create_score(name="long", value=1, trace_id="x" * 300, observation_id="y" * 300)
    client.create_score(name="unicode", value=1, session_id="sitzung ü")
    client.create_score(name="capitals", value=1, trace_id=_TRACE.upper())


def many():
    client = langfuse.get_client()
    for at in range(100):
        client.create_score(name=f"number {at}", value=at, trace_id=_TRACE)
    client.flush()


def comments_in_unicode():
    client = langfuse.get_client()
    client.create_score(name="ünï", value=1, trace_id=_TRACE, comment='"quoted"\n漢字 🦀 \x01')


def unknown_arguments():
    client = langfuse.get_client()
    attempt("score", client.create_score, name="n", value=1, trace_id=_TRACE, colour="red")


def the_same_id_twice():
    client = langfuse.get_client()
    client.create_score(name="one", value=1, trace_id=_TRACE, score_id="same")
    client.create_score(name="one", value=2, trace_id=_TRACE, score_id="same")
