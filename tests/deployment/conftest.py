"""Frameworks that only these tests need: `make test-frameworks` installs them beside the environment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
import tracespool
from installed import INSTALLED

if not (INSTALLED / "django").is_dir():
    raise pytest.UsageError("django, flask and celery are not installed: run `make test-frameworks`")
sys.path.append(str(INSTALLED))

KEY = "pk-frameworks"


@pytest.fixture
def client(receiver) -> Iterator[tracespool.Client]:
    """A client of the test's own collector."""
    made = tracespool.Client(public_key=KEY, secret_key="sk-x", base_url=receiver.url)
    with made.use():
        yield made
    tracespool.cleanup_client(KEY, timeout=0.0)


@pytest.fixture
def rows(client, receiver) -> Callable[[], dict]:
    """What is stored, by name; nothing is flushed for it."""
    return lambda: receiver.observations(KEY)
