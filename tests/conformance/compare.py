"""Differences between what two libraries did, and the reasons that are known for them."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REASONS = Path(__file__).with_name("reasons.toml")
ABSENT = "<absent>"


@dataclass(frozen=True)
class Difference:
    """One place where the two are not the same."""

    program: str
    where: str
    theirs: Any
    ours: Any

    def __str__(self) -> str:
        return f"{self.program}: {self.where}\n    langfuse:   {_short(self.theirs)}\n    tracespool: {_short(self.ours)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}... ({len(text)} characters)"


def differences(program: str, theirs: Any, ours: Any, where: str = "") -> Iterator[Difference]:
    """Walks both; types count (1, 1.0 and True differ), the order of keys does not."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() | ours.keys()):
            below = f"{where} / {key}" if where else key
            yield from differences(program, theirs.get(key, ABSENT), ours.get(key, ABSENT), below)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for at, (one, other) in enumerate(zip(theirs, ours)):
            yield from differences(program, one, other, f"{where} / {at}")
    elif type(theirs) is not type(ours) or theirs != ours:
        yield Difference(program, where, theirs, ours)


@dataclass
class Reason:
    """Why a difference is as it should be. `theirs` and `ours` are exact values where they are given."""

    name: str
    where: re.Pattern[str]
    langfuse: str
    tracespool: str
    why: str
    programs: list[str] = field(default_factory=lambda: ["*"])
    theirs: Any = None
    ours: Any = None

    def explains(self, difference: Difference) -> bool:
        """Whether it is of this difference."""
        return (
            any(fnmatch.fnmatchcase(difference.program, program) for program in self.programs)
            and self.where.fullmatch(difference.where) is not None
            and self.theirs in (None, difference.theirs)
            and self.ours in (None, difference.ours)
        )


def reasons() -> list[Reason]:
    """The reasons file."""
    with REASONS.open("rb") as file:
        entries = tomllib.load(file)["reason"]
    return [Reason(**entry | {"where": re.compile(entry["where"], re.DOTALL)}) for entry in entries]
