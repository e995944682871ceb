"""A secret leaves the process in one header and nowhere else."""

from __future__ import annotations

import base64

import pytest
from program import PUBLIC_KEY, SECRET_KEY, environment

SHOWING = """
import faulthandler, logging, os, pickle, sys, traceback
logging.basicConfig(level=1, stream=sys.stdout)
import tracespool
from tracespool import Client

client = Client(debug=True)
with client.start_as_current_observation(name="step", input={"question": "?"}) as observation:
    observation.score(name="worth", value=1.0)
    print(observation, repr(observation))
print(client, repr(client), str(client), f"{client!r}", getattr(client, "__dict__", None))
print(client.flush(timeout=2.0))
print(tracespool.stats())
for wrong in (
    lambda: Client(nonsense=1),
    lambda: Client(public_key=1, secret_key=os.environ["LANGFUSE_SECRET_KEY"]),
    lambda: Client(secret_key=os.environ["LANGFUSE_SECRET_KEY"] + "\\r\\nx-injected: 1"),
    lambda: Client(base_url="nonsense://%%%"),
    lambda: pickle.dumps(client),
    lambda: client.auth_check(),
    lambda: tracespool.cleanup_client(os.environ["LANGFUSE_PUBLIC_KEY"], timeout=2.0),
):
    try:
        print(wrong())
    except Exception:
        traceback.print_exc(file=sys.stdout)
print(tracespool.stats())
print("shown")
"""


@pytest.mark.parametrize("fault", [None, "401", "500", "reset", "301"])
def test_nothing_printed_holds_it(receiver, program, fault):
    if fault:
        receiver.fault(fault)
    ended = program(SHOWING).run(environment(receiver.url))
    assert ended.code == 0 and "shown" in ended.lines(), ended.err
    for text in (ended.out, ended.err):
        assert SECRET_KEY not in text
        assert base64.b64encode(f"{PUBLIC_KEY}:{SECRET_KEY}".encode()).decode() not in text
    # The public key may be shown: without it none of this would say which client it is about.
    assert PUBLIC_KEY in ended.out


def test_the_collectors_pages_do_not_hold_it(receiver, program):
    ended = program(SHOWING).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    assert receiver.whole()[0] == 1
    for page in ("/", "/api/v1/counts", f"/api/v1/counts?project={PUBLIC_KEY}"):
        assert SECRET_KEY not in receiver.get(page)
    log = (receiver.data / "collector.log").read_text()
    assert SECRET_KEY not in log


def test_a_traced_value_cannot_smuggle_a_header(receiver, program):
    ended = program(
        """
        from tracespool import Client

        client = Client(public_key="pk-lf-x\\r\\nx-injected: 1", secret_key="sk-lf-x")
        with client.start_as_current_observation(name="step\\r\\nx-injected: 1"):
            pass
        client.flush(timeout=1.0)
        print("went on")
        """
    ).run(environment(receiver.url))
    assert (ended.code, ended.out) == (0, "went on\n"), ended.err
    assert receiver.whole()[0] == 0
