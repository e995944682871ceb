"""Payloads for the benches: fresh objects from a seeded vocabulary, about 1 KB each, that compress like real text."""

from __future__ import annotations

import hashlib
import json
import random
import zlib
from typing import Any

OBSERVATION_BYTES = 1000
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def vocabulary(seed: int = 11, size: int = 3000) -> list[str]:
    """Words of 2 to 11 letters; the first ones are drawn most often, as in a language."""
    dice = random.Random(seed)
    return ["".join(dice.choices(_LETTERS, range(26, 0, -1), k=dice.randint(2, 11))) for _ in range(size)]


class Writer:
    """Writes the payloads of one run: the same ones for the same seed, and new objects on each call."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._words = vocabulary()
        self._weights = [1 / (rank + 20) for rank in range(len(self._words))]

    def text(self, length: int) -> str:
        """A text of about so many characters."""
        return " ".join(self._dice.choices(self._words, self._weights, k=max(1, length // 7)))

    def call(self) -> list[dict[str, Any]]:
        """What one call traces: three observations, inputs and outputs of nested lists and dicts."""
        dice = self._dice
        return [
            {
                "input": {"question": self.text(250), "user": dice.randrange(10_000), "flags": [True, False, None]},
                "output": {"answer": self.text(500), "score": dice.random()},
                "metadata": {"region": self.text(20), "attempt": dice.randrange(5)},
            },
            {
                "input": {"query": self.text(150), "filters": {"lang": ["en", "de"], "after": dice.randrange(10**9)}},
                "output": [{"id": f"doc-{dice.randrange(10**6)}", "text": self.text(220), "rank": n} for n in range(3)],
                "metadata": {"index": "main"},
            },
            {
                "input": [{"role": "system", "content": self.text(200)}, {"role": "user", "content": self.text(350)}],
                "output": {"role": "assistant", "content": self.text(350)},
                "metadata": {"temperature": 0.2},
            },
        ]

    def calls(self, count: int) -> list[list[dict[str, Any]]]:
        """The payloads of so many calls."""
        return [self.call() for _ in range(count)]


def fingerprint(value: Any) -> bytes:
    """The hash of a value's content, whoever serialised it."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


class Sum:
    """A sum of fingerprints that does not depend on their order."""

    def __init__(self) -> None:
        self._total = 0
        self.count = 0

    def add(self, given: Any, returned: Any) -> None:
        """Takes in one observation's input and output."""
        self._total = (self._total + int.from_bytes(fingerprint([given, returned]), "big")) % (1 << 256)
        self.count += 1

    def __str__(self) -> str:
        return f"{self._total:064x}"


def compresses() -> float:
    """How many times smaller a batch of these payloads gets."""
    raw = json.dumps(Writer(1).calls(150)).encode()
    return len(raw) / len(zlib.compress(raw, 6))
