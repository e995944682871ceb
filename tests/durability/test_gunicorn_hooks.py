"""The hooks that gunicorn.conf.py names, and the ASGI middleware under uvicorn's end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from program import environment

CONFIGURATION = """
from tracespool.integrations.gunicorn import post_fork, worker_exit
"""

WSGI = """
from tracespool import Client

client = Client()


def app(environ, start_response):
    with client.start_as_current_observation(name="request"):
        pass
    start_response("200 OK", [])
    return [b"x"]
"""

ASGI = """
from fastapi import FastAPI
from tracespool import Client
from tracespool.integrations.asgi import TracespoolMiddleware

client = Client()
app = FastAPI()
app.add_middleware(TracespoolMiddleware)


@app.get("/")
async def root():
    with client.start_as_current_observation(name="request"):
        pass
"""


@pytest.fixture
def serve(tmp_path, receiver):
    """Starts a server on source text."""
    running: list[subprocess.Popen[bytes]] = []

    def start(source: str, *command: str, **environ: str) -> tuple[subprocess.Popen[bytes], int]:
        (tmp_path / "served.py").write_text(source)
        (tmp_path / "gunicorn.conf.py").write_text(CONFIGURATION)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        line = [sys.executable, "-m", *(part.format(port=port) for part in command), "served:app"]
        env = environment(receiver.url, LANGFUSE_FLUSH_INTERVAL="60", **environ)
        process = subprocess.Popen(line, cwd=tmp_path, env=env)
        running.append(process)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
                return process, port
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        raise AssertionError("the server did not start")

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait(10)


SERVERS = {
    "gunicorn": (
        WSGI,
        ["gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}", "--log-level", "error", "--no-control-socket"],
    ),
    "gunicorn --preload": (
        WSGI,
        ["gunicorn", "--preload", "--bind", "127.0.0.1:{port}", "--log-level", "error", "--no-control-socket"],
    ),
    "uvicorn": (ASGI, ["uvicorn", "--port", "{port}", "--log-level", "error"]),
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_is_told_to_stop_has_sent_everything(receiver, serve, server):
    source, command = SERVERS[server]
    # The goodbye at exit is off: only the hooks can send.
    process, port = serve(source, *command, TRACESPOOL_ATEXIT="0")
    for _ in range(9):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    assert receiver.whole()[:3:2] == (10, 0)


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_a_trace_server_that_hangs_holds_the_stop_up_within_the_bound(receiver, serve, server):
    receiver.fault("hang")
    source, command = SERVERS[server]
    process, _ = serve(source, *command)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(15)
    assert time.monotonic() - began < 5.0
