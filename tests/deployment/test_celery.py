"""Celery with real workers: a broker of files, so that nothing has to be installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from installed import INSTALLED
from program import PUBLIC_KEY, environment

JOBS = """
    import json, os
    from celery import Celery
    from tracespool import Client
    from tracespool.integrations import request
    from tracespool.integrations.celery import install

    here = os.path.dirname(os.path.abspath(__file__))
    app = Celery("jobs", broker="filesystem://", backend="file://" + here)
    app.conf.broker_transport_options = {{"data_folder_in": here + "/queue", "data_folder_out": here + "/queue",
                                          "control_folder": here + "/control"}}
    install({arguments})

    @app.task
    def double(number):
        with Client().start_as_current_observation(name=f"work {{number}}") as observation:
            return [number * 2, request.correlation_id(), os.getpid()]

    @app.task(name="jobs.fails")
    def fails():
        raise ValueError("no such order")
"""

SEND = """
    import sys, jobs
    from tracespool import Client, propagate_attributes
    from tracespool.integrations import request

    client = Client()
    with propagate_attributes(user_id="u-1", as_baggage=True):
        with client.start_as_current_observation(name="send") as top:
            results = [jobs.double.delay(number) for number in range(20)]
            failed = jobs.fails.delay()
    print(top.trace_id, top.id)
    pids = set()
    for number, result in enumerate(results):
        doubled, correlation, pid = result.get(timeout=20)
        assert doubled == number * 2 and correlation == result.id, (doubled, correlation)
        pids.add(pid)
    try:
        failed.get(timeout=20)
    except ValueError:
        print(len(pids))
"""


@pytest.fixture
def worker(receiver, tmp_path):
    """Starts a worker on the tasks; SIGTERM at the end is what a deployment sends."""
    for name in ("queue", "control"):
        (tmp_path / name).mkdir()
    running: list[subprocess.Popen[str]] = []
    env = environment(receiver.url, PYTHONPATH=f"{INSTALLED}{os.pathsep}{tmp_path}")

    def start(arguments: str, *options: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
        (tmp_path / "jobs.py").write_text(textwrap.dedent(JOBS).format(arguments=arguments))
        command = [sys.executable, "-m", "celery", "-A", "jobs", "worker", "-l", "warning"]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat", *options]
        running.append(subprocess.Popen(command, env=env, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True))
        return running[-1], env

    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.mark.parametrize("options", [("--concurrency", "2"), ("--pool", "solo"), ("--pool", "threads", "--concurrency", "2")])
def test_tasks_go_on_with_their_senders_trace_and_all_is_stored_when_the_worker_has_ended(
    receiver, program, worker, options
):
    process, env = worker("observation=True, continue_trace=True", *options)
    sent = program(SEND).run(env, timeout=40)
    assert sent.code == 0, sent.err
    trace_id, span_id = sent.lines()[0].split()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    rows = receiver.all_observations(PUBLIC_KEY)
    assert len(rows) == 1 + 20 * 2 + 1, err
    assert {row["trace_id"] for row in rows} == {trace_id}
    tasks = [row for row in rows if row["name"] == "jobs.double"]
    assert {(row["parent"], row["user"]) for row in tasks} == {(span_id, "u-1")}
    assert {row["parent"] for row in rows if row["name"].startswith("work")} == {row["span_id"] for row in tasks}
    (failed,) = [row for row in rows if row["name"] == "jobs.fails"]
    assert (failed["level"], failed["status_message"]) == ("ERROR", "ValueError: no such order")


def test_without_being_asked_a_task_has_a_trace_of_its_own(receiver, program, worker):
    process, env = worker("")
    sent = program(SEND).run(env, timeout=40)
    assert sent.code == 0, sent.err
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    rows = receiver.all_observations(PUBLIC_KEY)
    assert len(rows) == 1 + 20 and len({row["trace_id"] for row in rows}) == 21


def test_a_server_that_hangs_holds_the_workers_end_up_for_its_bound_at_most(receiver, program, worker):
    receiver.fault("hang")
    process, env = worker("goodbye_timeout=1.0", "--concurrency", "1")
    sent = program(SEND).run(env | {"TRACESPOOL_ATEXIT": "0"}, timeout=40)
    assert sent.code == 0, sent.err
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert time.monotonic() - began < 8.0
