"""One thread for all clients, only while there is work, and none at all when tracing is off."""

from __future__ import annotations

import json
import sys

import pytest
from program import environment

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the tasks of /proc")

COUNT = """
import json, os, sys, time
from tracespool import Client

def threads():
    return len(os.listdir("/proc/self/task"))

def trace(client):
    with client.start_as_current_observation(name="step") as observation:
        observation.score(name="worth", value=1.0)

before = threads()
"""


def counts(program, environ, source: str, timeout: float = 30) -> dict[str, int]:
    ended = program(COUNT + source).run(environ, timeout=timeout)
    assert ended.code == 0, ended.err
    return json.loads(ended.lines()[-1])


def test_two_hundred_keys_one_thread(receiver, program):
    found = counts(
        program,
        environment(receiver.url),
        """
clients = [Client(public_key=f"pk-lf-{n}", secret_key="sk-lf-x") for n in range(200)]
made = threads()
for client in clients:
    trace(client)
for client in clients:
    client.flush(timeout=5.0)
print(json.dumps({"made": made - before, "traced": threads() - before}))
""",
    )
    assert found["made"] <= 1 and found["traced"] == 1
    assert receiver.whole() == (200, 200, 0, 0)


def test_the_import_and_a_client_start_no_thread(receiver, program):
    found = counts(program, environment(receiver.url), 'client = Client()\nprint(json.dumps({"added": threads() - before}))\n')
    assert found["added"] == 0


def test_disabled_tracing_starts_no_thread(receiver, program):
    found = counts(
        program,
        environment(receiver.url, LANGFUSE_TRACING_ENABLED="false"),
        'client = Client()\ntrace(client)\nclient.flush(timeout=1.0)\nprint(json.dumps({"added": threads() - before}))\n',
    )
    assert found["added"] == 0
    assert receiver.whole() == (0, 0, 0, 0)


def test_the_thread_ends_without_work_and_comes_back(receiver, program):
    # Thirty seconds of rest end it; five more for a busy machine.
    found = counts(
        program,
        environment(receiver.url),
        """
client = Client()
trace(client)
client.flush(timeout=5.0)
working = threads() - before
deadline = time.monotonic() + 36
while threads() > before and time.monotonic() < deadline:
    time.sleep(0.5)
resting = threads() - before
trace(client)
report = client.flush(timeout=5.0)
print(json.dumps({"working": working, "resting": resting, "again": threads() - before, "delivered": report["delivered"]}))
""",
        timeout=60,
    )
    assert found == {"working": 1, "resting": 0, "again": 1, "delivered": 2}
    assert receiver.whole() == (2, 2, 0, 0)


def test_a_key_works_again_after_its_cleanup(receiver, program):
    found = counts(
        program,
        environment(receiver.url),
        """
from tracespool import cleanup_all_clients, cleanup_client
client = Client()
trace(client)
cleanup_client(os.environ["LANGFUSE_PUBLIC_KEY"], timeout=5.0)
trace(client)
trace(Client())
cleanup_all_clients(timeout=5.0)
trace(client)
client.flush(timeout=5.0)
print(json.dumps({"threads": threads() - before}))
""",
    )
    assert found["threads"] == 1
    assert receiver.whole() == (4, 4, 0, 0)


def test_an_application_that_closes_every_descriptor_is_traced_on(receiver, program):
    found = counts(
        program,
        environment(receiver.url),
        """
client = Client()
trace(client)
assert client.flush(timeout=5.0)["delivered"] == 2
os.closerange(3, 1024)
kept = [open(os.devnull) for _ in range(64)]  # numbers that were the exporter's are others' now
trace(client)
deadline, ends = time.monotonic() + 15, []
while not ends and time.monotonic() < deadline:
    report = client.flush(timeout=1.0)
    ends = [report] if report["delivered"] == 2 else []
spun = time.process_time()
time.sleep(0.5)
spun = time.process_time() - spun
for file in kept:
    os.fstat(file.fileno())
print(json.dumps({"delivered": len(ends), "busy": int(spun > 0.2)}))
""",
    )
    assert found == {"delivered": 1, "busy": 0}
    assert receiver.whole() == (2, 2, 0, 0)
