"""Express, Fastify and Next under load: everything is stored, streams end with their observations, one thread more."""

from __future__ import annotations

import json
import time

import pytest
from program import PUBLIC_KEY

from examples.demo import load

FRAMEWORKS = ("express", "fastify", "next")
REQUESTS, USERS = 1500, 50
KEYS = {"x_public_key": "pk-lf-one", "x_secret_key": "sk-lf-one"}
# Data waits five seconds for company at most.
DELIVERED_WITHIN = 20.0


def settled(receiver, key: str, count: int) -> int:
    """What is stored of a project once it is as much as it should be, or nothing more comes."""
    deadline = time.monotonic() + DELIVERED_WITHIN
    while receiver.counts(key)["observations"] < count and time.monotonic() < deadline:
        time.sleep(0.1)
    return receiver.counts(key)["observations"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_under_load(service, receiver, framework):
    app = service(framework)
    people = load.users(framework, USERS)
    outcome = app.ask(people, range(REQUESTS))
    assert len(outcome.latencies) == REQUESTS and not outcome.failures
    threads = app.look()["threads"]
    assert sum(count for name, count in threads.items() if name.startswith("tracespool")) == 1, threads
    # Next ends as the signal would have ended it, after its own work.
    assert app.stop() == (143 if framework == "next" else 0), app.log.read_text()
    for user in people:
        stored = receiver.counts(user.public_key)
        assert stored["observations"] == outcome.observations[user.public_key]
        assert stored["scores"] == outcome.scores[user.public_key]
    assert app.log.read_text().count("tracespool") == 0, app.log.read_text()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_trace_is_nested_and_belongs_to_one_user(service, receiver, framework):
    app = service(framework)
    people = load.users(framework, 8)
    app.ask(people, range(64))
    for user in people:
        assert settled(receiver, user.public_key, 32) == 32
        rows = receiver.all_observations(user.public_key)
        roots = {row["span_id"]: row for row in rows if row["name"] == "answer"}
        assert len(roots) == 8 and len({row["trace_id"] for row in rows}) == 8
        for row in rows:
            if row["name"] != "answer":
                assert roots[row["parent"]]["trace_id"] == row["trace_id"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_stream_is_recorded_to_its_end(service, receiver, framework):
    app = service(framework)
    for _ in range(10):
        status, body = app.get("/stream", **KEYS)
        assert (status, body) == (200, b"word-0 word-1 word-2 word-3 word-4 ")
    assert settled(receiver, "pk-lf-one", 20) == 20
    rows = receiver.all_observations("pk-lf-one")
    streams = {row["span_id"]: row for row in rows if row["name"] == "stream"}
    assert len(streams) == 10
    assert all(json.loads(row["output"]) == {"words": 5} for row in streams.values())
    assert {row["parent"] for row in rows if row["name"] == "inside"} == set(streams)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_stream_that_nobody_reads_on_is_recorded(service, receiver, framework):
    app = service(framework)
    for _ in range(5):
        app.abandon("/stream", **KEYS)
    assert settled(receiver, "pk-lf-one", 5) >= 5


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_error_goes_through_and_is_recorded(service, receiver, framework):
    app = service(framework)
    status, _ = app.get("/fail", **KEYS)
    assert status == 500
    assert settled(receiver, "pk-lf-one", 1) == 1
    (row,) = receiver.all_observations("pk-lf-one")
    assert row["level"] == "ERROR" and "the application broke" in row["status_message"]


def test_next_traces_its_instrumentation_hook_and_pages(service, receiver):
    app = service("next")
    status, body = app.get("/")
    assert status == 200 and b"hello" in body
    assert settled(receiver, PUBLIC_KEY, 2) == 2
    assert set(receiver.observations(PUBLIC_KEY)) == {"register", "page"}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_hung_server_delays_no_answer(service, receiver, framework):
    app = service(framework)
    people = load.users(framework, 10)
    app.ask(people, range(300))
    free = app.ask(people, range(300)).quantile(0.5)
    receiver.fault("hang")
    hung = app.ask(people, range(600))
    assert not hung.failures
    assert hung.quantile(0.5) <= free * 1.5 + 5
    receiver.faults([])
