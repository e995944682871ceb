"""The emulated Lambda, and functions that run in it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from program import environment
from runtime_api import RuntimeApi

_HERE = Path(__file__).parent


@pytest.fixture
def function(receiver, tmp_path: Path) -> Iterator[Callable[..., RuntimeApi]]:
    """Starts source text with a `handler` as a function that is frozen between its invocations."""
    with contextlib.ExitStack() as stack:

        def start(source: str, **environ: str) -> RuntimeApi:
            api = RuntimeApi()
            stack.callback(api.stop)
            path = tmp_path / "function.py"
            path.write_text(textwrap.dedent(source))
            process = _started(
                stack, [sys.executable, str(_HERE / "bootstrap.py"), str(path)], receiver, api, **environ
            )
            api.frozen = process.pid
            return api

        yield start


@pytest.fixture
def web_function(receiver, tmp_path: Path) -> Iterator[Callable[..., RuntimeApi]]:
    """Starts source text with an `app` under uvicorn, behind a proxy in the shape of the Web Adapter."""
    with contextlib.ExitStack() as stack:

        def start(source: str, streams: bool = False, **environ: str) -> RuntimeApi:
            api = RuntimeApi()
            stack.callback(api.stop)
            (tmp_path / "web_function.py").write_text(textwrap.dedent(source))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = str(probe.getsockname()[1])
            command = [sys.executable, "-m", "uvicorn", "--log-level", "warning", "--port", port, "web_function:app"]
            server = _started(stack, command, receiver, api, cwd=tmp_path, **environ)
            mode = "STREAM" if streams else "BUFFERED"
            _started(stack, [sys.executable, str(_HERE / "adapter.py"), port, str(server.pid), mode], receiver, api)
            return api

        yield start


def _started(
    stack: contextlib.ExitStack, command: list[str], receiver: Any, api: RuntimeApi, cwd: Path | None = None, **environ: str
) -> subprocess.Popen[bytes]:
    env = environment(receiver.url, AWS_LAMBDA_RUNTIME_API=api.address, **environ)
    process = subprocess.Popen(command, env=env, cwd=cwd)

    def end() -> None:
        process.send_signal(signal.SIGKILL)  # reaches a stopped process too
        process.wait(10)

    stack.callback(end)
    return process
