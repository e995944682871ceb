"""A handler on Lambda: frozen at each answer, and everything is stored without a further call."""

from __future__ import annotations

import pytest
from program import PUBLIC_KEY

HANDLER = """
    import threading
    from tracespool import Client
    from tracespool.integrations.awslambda import tracespool_handler

    client = Client()

    @tracespool_handler{arguments}
    def handler(event, context):
        for turn in range(5):
            with client.start_as_current_observation(name=f"step {{event['n']}}-{{turn}}", as_type="generation"):
                pass
        if event.get("fail"):
            raise KeyError("no such order")
        return {{"n": event["n"], "threads": threading.active_count()}}
"""
CALLS = 8


@pytest.mark.parametrize("environ", [{}, {"LANGFUSE_FLUSH_AT": "1"}])
def test_everything_is_stored_when_the_answer_is_out(receiver, function, environ):
    lambda_ = function(HANDLER.format(arguments=""), **environ)
    for number in range(CALLS):
        assert lambda_.invoke({"n": number}).body == b'{"n": %d, "threads": 1}' % number
        # The process stands still: nothing will send more.
        assert receiver.counts(PUBLIC_KEY)["observations"] == 6 * (number + 1)
    rows = receiver.observations(PUBLIC_KEY)
    assert rows["step 7-4"]["parent"] and rows["shop"]["metadata"]["request_id"]


def test_an_error_is_stored_and_told_to_lambda(receiver, function):
    lambda_ = function(HANDLER.format(arguments=""))
    invocation = lambda_.invoke({"n": 1, "fail": True})
    assert invocation.error == {"errorType": "KeyError", "errorMessage": "'no such order'"}
    row = receiver.observations(PUBLIC_KEY)["shop"]
    assert row["level"] == "ERROR" and "no such order" in row["status_message"]
    assert receiver.counts(PUBLIC_KEY)["observations"] == 6


@pytest.mark.parametrize("fault", ["hang", "drip", "500"])
def test_a_broken_trace_server_holds_no_answer_up(receiver, function, fault):
    receiver.fault(fault)
    lambda_ = function(HANDLER.format(arguments=""))
    seconds = [lambda_.invoke({"n": number}).seconds for number in range(5)]
    # The first one on this machine also loads what it needs.
    assert seconds[0] < 3.0 and max(seconds[1:]) < 1.0, seconds


TIMED = """
    import time
    from tracespool import Client
    from tracespool.integrations.awslambda import tracespool_handler

    client = Client()

    @tracespool_handler
    def handler(event, context):
        began = time.perf_counter()
        for turn in range(20):
            with client.start_as_current_observation(name="step", input="x" * 1000) as step:
                step.score(name="worth", value=1.0)
        return time.perf_counter() - began
"""


@pytest.mark.parametrize("fault", ["delay:300", "hang"])
def test_a_batch_of_one_is_not_sent_by_the_callers_thread(receiver, function, fault):
    """LANGFUSE_FLUSH_AT=1 made other SDKs export in the handler itself: 20 answers of 0.3 s each, one after the other."""
    receiver.fault(fault)
    lambda_ = function(TIMED, LANGFUSE_FLUSH_AT="1")
    seconds = [float(lambda_.invoke({}).body) for _ in range(3)]
    assert max(seconds) < 0.3, seconds
    if fault != "hang":
        assert receiver.counts(PUBLIC_KEY)["observations"] > 20, "it was sent all the same"


def test_the_flush_leaves_the_runtime_its_time(receiver, function):
    receiver.fault("hang")
    lambda_ = function(HANDLER.format(arguments="(timeout=30.0)"))
    lambda_.invoke({"n": 0}, timeout=3.0)
    assert lambda_.invoke({"n": 1}, timeout=1.5).seconds < 1.5


def test_what_was_not_sent_goes_out_with_the_next_invocation(receiver, function):
    receiver.fault("503", count=1)
    lambda_ = function(HANDLER.format(arguments=""))
    for number in range(12):
        lambda_.invoke({"n": number})
        if receiver.counts(PUBLIC_KEY)["observations"] == 6 * (number + 1):
            break
    assert receiver.whole(PUBLIC_KEY)[:3:2] == (6 * (number + 1), 0)
