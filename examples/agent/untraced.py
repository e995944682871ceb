"""The baseline: the same verbs as a tracing client, and nothing behind them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Observation:
    """An observation that keeps nothing."""

    def update(self, **_fields: Any) -> Observation:
        return self

    def score(self, **_fields: Any) -> None:
        return None


NOTHING = Observation()


class Client:
    """A client that sends nothing."""

    def __init__(self, **_settings: Any) -> None:
        return None

    @contextmanager
    def start_as_current_observation(self, **_fields: Any) -> Iterator[Observation]:
        yield NOTHING

    def score_current_trace(self, **_fields: Any) -> None:
        return None


@contextmanager
def propagate_attributes(**_fields: Any) -> Iterator[None]:
    yield


def goodbye() -> None:
    return None
