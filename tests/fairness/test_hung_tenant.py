"""One tenant whose server is in trouble costs the others nothing."""

from __future__ import annotations

import json

import pytest
from program import environment
from receiver import Receiver

NEIGHBOURS = """
import json, os, time
from tracespool import Client

def trace(client):
    with client.start_as_current_observation(name="step", input="x" * 200) as observation:
        observation.score(name="worth", value=1.0)

SICK = int(os.environ["SICK"])
sick = [
    Client(public_key=f"pk-lf-sick-{n}", secret_key="sk-lf-x", base_url=os.environ["SICK_URL"]) for n in range(SICK)
]
well = Client(public_key="pk-lf-well", secret_key="sk-lf-x")

took = []
for turn in range(5):
    for client in sick:
        trace(client)
    if turn == 0 and sick:
        sick[0].flush(timeout=0.3)   # its request is under way, and hangs
    trace(well)
    started = time.perf_counter()
    report = well.flush(timeout=5.0)
    took.append(time.perf_counter() - started)
    assert (report["delivered"], report["pending"], report["unconfirmed"]) == (2, 0, 0), report
print(json.dumps(took))
os._exit(0)
"""


@pytest.mark.parametrize("sick", [1, 40])
@pytest.mark.parametrize("fault", ["hang", "drip", "500", "401"])
def test_on_the_same_server(receiver, program, fault, sick):
    receiver.faults([{"fault": fault, "key": f"pk-lf-sick-{n}"} for n in range(sick)])
    took = flushes(program, receiver, receiver.url, sick)
    # Against a dead neighbour's five seconds; a healthy flush takes some milliseconds.
    assert sorted(took)[2] < 0.25 and max(took) < 1.0, took
    assert receiver.whole("pk-lf-well") == (5, 5, 0, 0)


def test_on_another_server(receiver, program, tmp_path):
    dead = Receiver(tmp_path / "dead")
    try:
        dead.fault("hang")
        took = flushes(program, receiver, dead.url, 40)
    finally:
        dead.stop()
    assert sorted(took)[2] < 0.25 and max(took) < 1.0, took
    assert receiver.whole("pk-lf-well") == (5, 5, 0, 0)


def test_nothing_lands_in_a_neighbours_project(receiver, program):
    ended = program(
        """
        from tracespool import Client

        clients = {name: Client(public_key=f"pk-lf-{name}", secret_key="sk-lf-x") for name in ("a", "b", "c")}
        for name, client in clients.items():
            with client.start_as_current_observation(name="outer"):
                for inner in clients.values():      # each inside another's observation
                    with inner.start_as_current_observation(name="inner") as observation:
                        observation.score(name="worth", value=1.0)
        for client in clients.values():
            client.flush(timeout=5.0)
        """
    ).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    assert {name: receiver.whole(f"pk-lf-{name}") for name in "abc"} == dict.fromkeys("abc", (4, 3, 0, 0))


def flushes(program, receiver: Receiver, sick_url: str, sick: int) -> list[float]:
    ended = program(NEIGHBOURS).run(environment(receiver.url, SICK=str(sick), SICK_URL=sick_url), timeout=60)
    assert ended.code == 0, ended.err
    return json.loads(ended.out)
