"""What every black-box test stands on: a real collector and a place for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from program import Program
from receiver import Receiver


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A collector that keeps what it receives for the length of one test."""
    collector = Receiver(tmp_path / "collector")
    try:
        yield collector
    finally:
        collector.stop()


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Program]:
    """Writes source text as a program."""
    return lambda source: Program(tmp_path, source)
