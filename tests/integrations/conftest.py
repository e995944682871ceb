"""A collector for the session, a client and a fake OpenAI server for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import pytest
from openai_server import OpenAIServer
from receiver import Receiver
from stored import Stored

_PREFIXES = ("LANGFUSE_", "TRACESPOOL_", "OTEL_", "LANGCHAIN_", "LANGSMITH_", "OPENAI_")
for _name in [name for name in os.environ if name.startswith(_PREFIXES)]:
    del os.environ[_name]

import tracespool


@pytest.fixture(scope="session")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    made = Receiver(tmp_path_factory.mktemp("collector"))
    try:
        yield made
    finally:
        made.stop()


_keys = itertools.count()


@pytest.fixture
def key() -> str:
    return f"pk-integration-{os.getpid()}-{next(_keys)}"


@pytest.fixture
def client(collector: Receiver, key: str) -> Iterator[tracespool.Client]:
    made = tracespool.Client(public_key=key, secret_key="sk-integration", base_url=collector.url)
    with made.use():
        yield made
    tracespool.cleanup_client(key, timeout=5.0)


@pytest.fixture
def stored(client: tracespool.Client, collector: Receiver, key: str) -> Callable[[], Stored]:
    """Flushes, and gives what is stored."""

    def read() -> Stored:
        report = client.flush(5.0)
        assert report["complete"], report
        return Stored(collector, key)

    return read


@pytest.fixture(scope="session")
def server() -> Iterator[OpenAIServer]:
    made = OpenAIServer()
    yield made
    made.close()
