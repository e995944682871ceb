"""gunicorn --preload: the application traced before the workers were forked, and every worker traces on."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from program import environment

WORKERS, REQUESTS = 4, 60

APPLICATION = """
import json, os, time
from tracespool import Client

client = Client()
with client.start_as_current_observation(name="preload") as observation:
    observation.score(name="worth", value=1.0)
client.flush(timeout=5.0)   # a connection is open when the workers are forked
with client.start_as_current_observation(name="preload-pending"):
    pass


def app(environ, start_response):
    with client.start_as_current_observation(name="request", input={"path": environ["PATH_INFO"]}) as observation:
        observation.score(name="worth", value=1.0)
        time.sleep(0.02)
    start_response("200 OK", [("content-type", "application/json")])
    return [json.dumps({"pid": os.getpid()}).encode()]
"""


def test_preloaded_workers_deliver_everything_once(receiver, tmp_path):
    (tmp_path / "preloaded.py").write_text(APPLICATION)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--preload", "--workers", str(WORKERS), "--bind", f"127.0.0.1:{port}"]
        + ["--log-level", "warning", "--no-control-socket", "preloaded:app"],
        cwd=tmp_path,
        env=environment(receiver.url),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _await(port, server)
        with ThreadPoolExecutor(8) as pool:
            pids = set(pool.map(lambda _: ask(port), range(REQUESTS)))
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=20)
    finally:
        server.kill()
    assert len(pids) > 1, "one worker answered everything: nothing was shown"
    # One request more: the first one, that found out that the server is there.
    assert receiver.whole() == (2 + REQUESTS + 1, 1 + REQUESTS + 1, 0, 0), err


def ask(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as response:
        return json.load(response)["pid"]


def _await(port: int, server: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.poll() is None:
        try:
            ask(port)
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    server.kill()
    raise AssertionError(f"gunicorn did not start: {server.communicate()[1]}")
