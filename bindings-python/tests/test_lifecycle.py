"""Import, exit and fork, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Collector

_PROLOGUE = """
import os, sys, time
import tracespool
client = tracespool.Client(public_key={key!r}, secret_key="sk", base_url={url!r})
def trace(name):
    with client.start_as_current_observation(name=name, input={{"pid": os.getpid()}}) as span:
        return span.trace_id
"""


def run(code: str, collector: Collector, key: str, **env: str) -> subprocess.CompletedProcess[str]:
    source = _PROLOGUE.format(key=key, url=collector.url) + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-W", "error::DeprecationWarning", "-c", source], env={**os.environ, **env}, capture_output=True, text=True, timeout=60)


def test_exit_sends_what_is_pending(collector: Collector, key: str) -> None:
    done = run("for i in range(2000): trace(f'n{i}')", collector, key)
    assert done.returncode == 0 and done.stderr == "", done
    assert collector.counts(key)["observations"] == 2000


def test_handlers_that_run_later_still_trace(collector: Collector, key: str) -> None:
    source = f"import atexit\natexit.register(lambda: trace('late'))\n{_PROLOGUE.format(key=key, url=collector.url)}trace('early')"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    assert collector.wait_for(key, 1) >= 1
    assert "early" in collector.observations(key)


def test_the_hook_can_be_left_out(collector: Collector, key: str) -> None:
    run("trace('lost')", collector, key, TRACESPOOL_ATEXIT="0")
    assert collector.counts(key)["observations"] == 0


def test_exit_is_bounded_when_the_server_is_gone(collector: Collector, key: str) -> None:
    done = run(
        """
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        client = tracespool.Client(public_key="pk-hangs", secret_key="sk", base_url=f"http://127.0.0.1:{server.getsockname()[1]}")
        for i in range(1000): trace("x")
        began = time.monotonic()
        import atexit
        atexit._run_exitfuncs()
        print(time.monotonic() - began)
        """,
        collector, key,
    )  # fmt: skip
    assert float(done.stdout) < 3.5, done


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_fork_parent_and_child(collector: Collector, key: str) -> None:
    done = run(
        """
        trace("parent before"); client.flush()
        open_span = client.start_observation(name="never in child")
        trace("parent pending")
        children = []
        for i in range(3):
            pid = os.fork()
            if pid == 0:
                open_span.end()
                trace(f"child{i}")
                report = client.flush(5.0)
                os._exit(0 if report["complete"] and report["delivered"] >= 1 else 1)
            children.append(pid)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        open_span.end()
        trace("parent after")
        print(codes)
        """,
        collector, key,
    )  # fmt: skip
    # Each child says that the parent's open observation is not its own to end; nothing else is said.
    assert done.returncode == 0 and all("forked" in line for line in done.stderr.splitlines()), done
    assert done.stdout.strip() == "[0, 0, 0]"
    stored = collector.observations(key)
    assert sorted(stored) == sorted(["parent before", "parent pending", "never in child", "parent after", "child0", "child1", "child2"])
    counts = collector.counts(key)
    assert (counts["observations"], counts["duplicates_observations"]) == (7, 0)
    ports = {stored[f"child{i}"]["client_port"] for i in range(3)}
    assert len(ports) == 3 and stored["parent before"]["client_port"] not in ports
    assert len({row["trace_id"] for row in stored.values()}) == 7


def test_fork_under_load(collector: Collector, key: str) -> None:
    done = run(
        """
        import threading
        stop = threading.Event()
        def load():
            while not stop.is_set(): trace("load"); time.sleep(0.0005)
        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads: thread.start()
        bad = 0
        for i in range(20):
            began = time.monotonic()
            pid = os.fork()
            if pid == 0:
                trace("child")
                os._exit(0 if client.flush(5.0)["complete"] else 1)
            slow = time.monotonic() - began
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            bad += code != 0 or slow > 0.5
        stop.set()
        for thread in threads: thread.join()
        print(bad, client.flush(5.0)["complete"])
        """,
        collector, key,
    )  # fmt: skip
    assert done.stdout.split() == ["0", "True"], done
    assert collector.counts(key)["duplicates_observations"] == 0


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_say_goodbye(collector: Collector, key: str, method: str, tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(
        _PROLOGUE.format(key=key, url=collector.url)
        + "def work(i):\n    trace(f'work{i}')\n    return i\n"
    )
    (tmp_path / "main.py").write_text(
        textwrap.dedent(
            f"""
            import multiprocessing
            from worker import trace, work
            if __name__ == "__main__":
                context = multiprocessing.get_context({method!r})
                trace("main")
                children = [context.Process(target=work, args=(i,)) for i in range(3)]
                for child in children: child.start()
                for child in children: child.join()
                assert [child.exitcode for child in children] == [0, 0, 0]
            """
        )
    )
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = subprocess.run([sys.executable, str(tmp_path / "main.py")], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert sorted(collector.observations(key)) == ["main", "work0", "work1", "work2"]


def test_observations_of_the_parent_count_as_forked(collector: Collector, key: str) -> None:
    done = run(
        """
        span = client.start_observation(name="parent's")
        pid = os.fork()
        if pid == 0:
            span.update(output=1).end()
            os._exit(tracespool.stats()["observations"]["dropped"].get("forked", 0))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        span.end()
        """,
        collector, key,
    )  # fmt: skip
    assert done.stdout.strip() == "1", done
    assert list(collector.observations(key)) == ["parent's"]


def test_a_process_has_one_goodbye_and_its_child_another(start_collector: Callable[..., Collector], key: str) -> None:
    collector = start_collector()
    collector.faults({"fault": "hang"})
    done = run(
        """
        from tracespool import _lifecycle, _native
        def timed(seconds):
            began = time.monotonic()
            _lifecycle.goodbye(seconds)
            return time.monotonic() - began
        trace("parent")
        first = timed(1.0)
        trace("late")
        pid = os.fork()
        if pid == 0:
            trace("child")
            again = timed(0.5)
            os._exit(0 if again > 0.4 and timed(5.0) < 0.3 else 1)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        began = time.monotonic()
        _native.goodbye(5.0)
        second = time.monotonic() - began
        print(code, 0.9 < first < 1.5, second < 0.3, tracespool.stats()["observations"]["dropped"].get("after_goodbye"))
        """,
        collector, key,
    )  # fmt: skip
    assert done.stdout.split() == ["0", "True", "True", "1"], done


def test_the_rest_of_a_goodbye_is_for_later_ones(start_collector: Callable[..., Collector], key: str) -> None:
    collector = start_collector()
    collector.faults({"fault": "hang"})
    done = run(
        """
        from tracespool import _lifecycle
        trace("x")
        began = time.monotonic()
        _lifecycle.goodbye(0.2)
        short = time.monotonic() - began
        print(0.15 < short < 0.6)
        import atexit
        exits = time.monotonic()
        atexit._run_exitfuncs()
        print(time.monotonic() - exits < 0.3)
        """,
        collector, key,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "True"], done
