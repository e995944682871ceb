"""Services to test in: Next is built once."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from service import HERE, NEXT, NODE, Service


@pytest.fixture(scope="session")
def built_next() -> None:
    """`next build`, as for production."""
    shutil.rmtree(HERE / "next" / ".next", ignore_errors=True)
    built = subprocess.run(
        [NODE, str(NEXT), "build"],
        cwd=HERE / "next",
        env=os.environ | {"NEXT_TELEMETRY_DISABLED": "1", "NODE_ENV": "production", "LANGFUSE_TRACING_ENABLED": "false"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert built.returncode == 0, built.stdout + built.stderr


@pytest.fixture
def service(receiver, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Service]]:
    """Starts services that trace to the collector; they end with the test."""
    started: list[Service] = []

    def start(name: str, *options: str, **settings: str) -> Service:
        if name == "next":
            request.getfixturevalue("built_next")
        started.append(Service(name, receiver.url, tmp_path / f"{name}.log", *options, **settings))
        return started[-1]

    yield start
    for service in started:
        service.stop()
