"""Beside Sentry and Datadog: both get their own, neither gets or changes the other's, and the process ends as it should."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from neighbour import Neighbour
from service import HERE

from examples.demo import load

REQUESTS, USERS = 400, 20
MODULES = HERE / "node_modules"


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    listening = Neighbour()
    yield listening
    listening.stop()


def start(service, name: str, neighbour: Neighbour, framework: str, rate: float = 1):
    """The service with the neighbour loaded first, as its documentation asks for; it keeps this part of its traces."""
    if name == "sentry":
        return service(
            framework,
            "--import",
            str(HERE / "sentry.mjs"),
            SENTRY_DSN=f"http://public@127.0.0.1:{neighbour.port}/1",
            SENTRY_RATE=str(rate),
        )
    return service(
        framework,
        "--import",
        str(MODULES / "dd-trace" / "initialize.mjs"),
        DD_TRACE_AGENT_URL=f"http://127.0.0.1:{neighbour.port}",
        DD_SERVICE="hosts",
        DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
        DD_REMOTE_CONFIGURATION_ENABLED="false",
        DD_TRACE_OTEL_ENABLED="true",
        DD_TRACE_SAMPLE_RATE=str(rate),
    )


@pytest.mark.parametrize("framework", ["express", "fastify"])
@pytest.mark.parametrize("name", ["sentry", "datadog"])
def test_each_gets_its_own(service, receiver, neighbour, name, framework):
    app = start(service, name, neighbour, framework)
    people = load.users(f"{name}-{framework}", USERS)
    outcome = app.ask(people, range(REQUESTS))
    assert len(outcome.latencies) == REQUESTS and not outcome.failures
    path = "/envelope/" if name == "sentry" else "/traces"
    assert neighbour.heard(path, b"/ask"), [path for path, _ in neighbour.received][:20]
    assert app.stop() == 0, app.log.read_text()
    for user in people:
        stored = receiver.counts(user.public_key)
        assert stored["observations"] == outcome.observations[user.public_key]
        assert stored["scores"] == outcome.scores[user.public_key]
    # Nothing but what was traced here: no span of theirs came along.
    names = {row["name"] for user in people for row in receiver.all_observations(user.public_key)}
    assert names == {"answer", "search", "price", "write"}
    # Nor anything of ours with theirs.
    assert not [body for body in neighbour.bodies(path) if b"answered from documents" in body or b"langfuse.observation" in body]


@pytest.mark.parametrize("name", ["sentry", "datadog"])
def test_traces_are_nested_beside_it(service, receiver, neighbour, name):
    app = start(service, name, neighbour, "express")
    people = load.users(name, 4)
    app.ask(people, range(16))
    assert app.stop() == 0, app.log.read_text()
    for user in people:
        rows = receiver.all_observations(user.public_key)
        roots = {row["span_id"]: row for row in rows if row["name"] == "answer"}
        assert len(roots) == 4 and len(rows) == 16
        assert all(row["parent"] in roots for row in rows if row["name"] != "answer")


@pytest.mark.parametrize("name", ["sentry", "datadog"])
def test_what_it_samples_away_is_not_lost_here(service, receiver, neighbour, name):
    app = start(service, name, neighbour, "express", rate=0)
    people = load.users(name, 4)
    outcome = app.ask(people, range(80))
    assert app.stop() == 0, app.log.read_text()
    assert sum(receiver.counts(user.public_key)["observations"] for user in people) == outcome.observations.total() == 320
