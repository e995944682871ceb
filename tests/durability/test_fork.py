"""A fork loses nothing, doubles nothing, and the child never speaks on a connection of its parent."""

from __future__ import annotations

import glob
import os
import shutil
import statistics
import subprocess
from pathlib import Path

import pytest
from program import environment
from relay import Relay, address_of

FORKING = """
    import os, sys
    from tracespool import Client

    client = Client()

    def trace(name):
        with client.start_as_current_observation(name=name, input={"who": name}) as observation:
            observation.score(name="worth", value=1.0)

    trace("parent-before")
    client.flush(timeout=5.0)
    trace("parent-pending")
    child = os.fork()
    if child == 0:
        trace("child-flushed")
        client.flush(timeout=5.0)
        trace("child-at-exit")
        sys.exit(0)
    trace("parent-during")
    client.flush(timeout=5.0)
    _, status = os.waitpid(child, 0)
    trace("parent-after")
    sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_parent_and_child_deliver_everything_once(receiver, program):
    ended = program(FORKING).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    assert receiver.whole() == (6, 6, 0, 0)


def test_child_uses_connections_of_its_own(receiver, program):
    relay = Relay(address_of(receiver.url))
    # Uncompressed, so that the relay can read who is speaking.
    environ = environment(f"http://127.0.0.1:{relay.port}", LANGFUSE_OTEL_COMPRESSION="none")
    ended = program(FORKING).run(environ)
    relay.close()
    assert ended.code == 0, ended.err
    parents, children = relay.ports_that_sent(b"parent-"), relay.ports_that_sent(b"child-")
    assert parents and children
    assert not parents & children, f"shared client ports {parents & children}"


def test_grandchildren_too(receiver, program):
    ended = program(
        """
        import os, sys
        from tracespool import Client

        client = Client()
        depth = 0
        for _ in range(3):
            with client.start_as_current_observation(name=f"depth-{depth}"):
                pass
            client.flush(timeout=5.0)
            child = os.fork()
            if child:
                os.waitpid(child, 0)
                sys.exit(0)
            depth += 1
        with client.start_as_current_observation(name=f"depth-{depth}"):
            pass
        """
    ).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    assert receiver.whole() == (4, 0, 0, 0)


def test_fork_while_requests_hang_does_not_wait_for_them(receiver, program):
    receiver.fault("hang")
    ended = program(
        """
        import os, time
        from tracespool import Client

        client = Client()
        with client.start_as_current_observation(name="stuck"):
            pass
        client.flush(timeout=0.3)
        started = time.perf_counter()
        child = os.fork()
        if child == 0:
            os._exit(0)
        print(time.perf_counter() - started)
        os.waitpid(child, 0)
        os._exit(0)
        """
    ).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    assert float(ended.out) < 0.1


FORK_COST = """
    import os, sys, time
    from tracespool import Client

    clients = []
    for number in range(int(os.environ["CLIENTS"])):
        client = Client(public_key=f"pk-lf-{number}", secret_key="sk-lf-x")
        with client.start_as_current_observation(name="once"):
            pass
        clients.append(client)
    for client in clients:
        client.flush(timeout=5.0)
    for _ in range(40):
        started = time.perf_counter()
        child = os.fork()
        if child == 0:
            os._exit(0)
        print(time.perf_counter() - started)
        os.waitpid(child, 0)
        time.sleep(0.005)
    os._exit(0)
"""


def test_fork_costs_under_a_millisecond_with_a_thousand_clients(receiver, program):
    forking = program(FORK_COST)

    def median(clients: int) -> float:
        ended = forking.run(environment(receiver.url, CLIENTS=str(clients)), timeout=60)
        assert ended.code == 0, ended.err
        return statistics.median(float(line) for line in ended.lines())

    # Interleaved: the machine's own mood touches both alike.
    bare, full = zip(*[(median(0), median(1000)) for _ in range(3)])
    added = statistics.median(full) - statistics.median(bare)
    assert added < 0.001, f"a fork takes {added * 1000:.2f} ms longer with 1,000 clients"


def test_python_312_does_not_warn_about_threads(receiver, program, tmp_path):
    python = newer_python()
    if python is None:
        pytest.skip("no Python >= 3.12 on this machine: only those warn about a fork among threads")
    # The module is abi3: the one that was installed here is the one that a newer interpreter loads.
    import tracespool

    site = tmp_path / "site"
    site.mkdir()
    (site / "tracespool").symlink_to(Path(tracespool.__file__).parent)
    environ = environment(receiver.url, PYTHONPATH=str(site))
    ended = program(FORKING).run(environ, "-W", "always", python=python)
    assert ended.code == 0, ended.err
    assert "multi-threaded" not in ended.err and "DeprecationWarning" not in ended.err, ended.err
    assert receiver.whole() == (6, 6, 0, 0)


def newer_python() -> str | None:
    """An interpreter of 3.12 or later that runs."""
    root = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    named = [shutil.which(f"python3.{minor}") for minor in (12, 13, 14)]
    for candidate in [*named, *sorted(glob.glob(f"{root}/versions/3.1[2-9]*/bin/python3"))]:
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, timeout=20).returncode == 0:
            return candidate
    return None
