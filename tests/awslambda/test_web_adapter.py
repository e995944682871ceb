"""An ASGI application on Lambda behind the Web Adapter: frozen at the last byte of each answer."""

from __future__ import annotations

import json

import pytest
from program import PUBLIC_KEY

APPLICATION = """
    import asyncio, os, time
    from fastapi import FastAPI, HTTPException
    from fastapi.responses import StreamingResponse
    from tracespool import Client
    from tracespool.integrations.asgi import TracespoolMiddleware

    app = FastAPI()
    app.add_middleware(TracespoolMiddleware, observation=True{arguments})

    def work(name):
        # As services do whose users bring their own keys: a client for each request.
        with Client().start_as_current_observation(name=name) as observation:
            observation.score(name="worth", value=1.0)

    @app.get("/ask/{{number}}")
    async def ask(number: int):
        work(f"ask {{number}}")
        return {{"n": number}}

    @app.get("/sync/{{number}}")
    def sync(number: int):
        work(f"ask {{number}}")
        return {{"n": number}}

    @app.get("/stream/{{number}}")
    async def stream(number: int):
        async def parts():
            for part in range(3):
                work(f"part {{number}}-{{part}}")
                yield f"{{part}}\\n"
                await asyncio.sleep(0.1)
        return StreamingResponse(parts())

    @app.get("/burst/{{number}}")
    async def burst(number: int):
        began = time.perf_counter()
        for step in range(20):
            work(f"burst {{number}}-{{step}}")
        return {{"seconds": time.perf_counter() - began}}

    @app.get("/raises/{{number}}")
    async def raises(number: int):
        work(f"ask {{number}}")
        raise RuntimeError("broken")
"""
CALLS = 6


@pytest.mark.parametrize("kind, observations", [("ask", 2), ("sync", 2), ("raises", 2), ("stream", 4)])
@pytest.mark.parametrize("streams", [False, True])
def test_everything_is_stored_when_the_answer_is_out(receiver, web_function, kind, observations, streams):
    lambda_ = web_function(APPLICATION.format(arguments=""), streams)
    for number in range(CALLS):
        invocation = lambda_.invoke({"path": f"/{kind}/{number}"})
        if not streams and kind != "raises":
            body = json.loads(invocation.body)["body"]
            assert body == ("0\n1\n2\n" if kind == "stream" else f'{{"n":{number}}}')
        # The process stands still: nothing will send more.
        stored, scores, *twice = receiver.whole(PUBLIC_KEY)
        assert (stored, scores, *twice) == (
            observations * (number + 1),
            (observations - 1) * (number + 1),
            0,
            0,
        )


def test_without_the_hold_the_freeze_keeps_what_was_traced(receiver, web_function):
    """What the middleware is for; without this the tests above might show nothing."""
    lambda_ = web_function(APPLICATION.format(arguments=", flush_timeout=0"))
    lambda_.invoke({"path": "/ask/1"})
    assert receiver.counts(PUBLIC_KEY)["observations"] == 0


@pytest.mark.parametrize("fault", ["hang", "drip", "reset", "500"])
def test_a_broken_trace_server_holds_no_answer_up(receiver, web_function, fault):
    receiver.fault(fault)
    lambda_ = web_function(APPLICATION.format(arguments=""))
    seconds = [lambda_.invoke({"path": f"/ask/{number}"}).seconds for number in range(5)]
    # The first one also loads what it needs.
    assert seconds[0] < 3.0 and max(seconds[1:]) < 1.2, seconds


@pytest.mark.parametrize("fault", [None, "delay:300", "hang"])
def test_a_batch_of_one_is_not_sent_by_the_event_loops_thread(receiver, web_function, fault):
    if fault is not None:
        receiver.fault(fault)
    lambda_ = web_function(APPLICATION.format(arguments=""), LANGFUSE_FLUSH_AT="1")
    for number in range(3):
        answer = json.loads(json.loads(lambda_.invoke({"path": f"/burst/{number}"}).body)["body"])
        assert answer["seconds"] < 0.3, answer
        if fault is None:
            assert receiver.whole(PUBLIC_KEY) == (21 * (number + 1), 20 * (number + 1), 0, 0)


def test_a_streams_first_byte_does_not_wait(receiver, web_function):
    receiver.fault("hang")
    lambda_ = web_function(APPLICATION.format(arguments=""), streams=True)
    lambda_.invoke({"path": "/ask/0"})
    for number in range(3):
        invocation = lambda_.invoke({"path": f"/stream/{number}"})
        assert invocation.body == b"0\n1\n2\n"
        assert invocation.first_byte < 0.2, invocation
        assert 0.3 + 0.2 < invocation.seconds < 1.5, invocation
