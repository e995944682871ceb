"""Records the vectors' observations by Python's own calls, each vector with a client of its own: `python replay.py`.

Ids come from the client's `id_generator`, times from what was given; everything else are the calls of an application.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tracespool import Client

VECTORS = Path(__file__).parent / "vectors.json"
END = "\x1f"
UPDATED = {
    "i": "input",
    "o": "output",
    "d": "metadata",
    "l": "level",
    "s": "status_message",
    "M": "model",
    "P": "model_parameters",
    "u": "usage_details",
    "c": "cost_details",
    "v": "version",
}
OF_TRACE = {"U": "user_id", "S": "session_id", "N": "name", "T": "tags", "B": "public"}


class Ids:
    """Gives what it was told last."""

    trace: int = 0
    span: int = 0

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span


class Record:
    """What a record says; its form is told in `core/src/interchange/record.rs`."""

    def __init__(self, text: str) -> None:
        self.origin, text = text[0], text[1:]
        self.trace_id, self.span_id, text = text[:32], text[32:48], text[48:]
        self.parent_id = ""
        if self.origin in "12":
            self.parent_id, text = text[:16], text[16:]
        self.as_type, self.name, self._rest = text.split(END, 2)

    def fields(self) -> Iterator[tuple[str, str, Any]]:
        """Letter, key and value, in the record's order."""
        while self._rest:
            letter = self._take(1)
            if letter == "!":
                yield letter, self._text(), (self._text(), self._text())[0]
            else:
                key = self._text() if letter in "mx" else ""
                yield letter, key, self._value()

    def _take(self, size: int) -> str:
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def _text(self) -> str:
        text, self._rest = self._rest.split(END, 1)
        return text

    def _value(self) -> Any:
        kind = self._take(1)
        if kind == '"':
            return self._text()
        if kind == "'":
            return json.loads(self._text())
        if kind == "#":
            return json.loads(self._text())
        if kind == "[":
            return [self._text() for _ in range(int(self._text()))]
        if kind == "{":
            whole, self._rest = self._rest.split(END + END, 1)
            pieces = whole.split(END)
            return json.loads("".join(json.dumps(piece) if at % 2 else piece for at, piece in enumerate(pieces)))
        return {"t": True, "f": False}[kind]


def nanoseconds(milliseconds: float) -> int:
    """What a time of JavaScript is to its binding: microseconds."""
    return round(milliseconds * 1000) * 1000


def replay(client: Client, ids: Ids, record: Record, start: float, end: float) -> None:
    """Records it; what is above it stays open until it is sent."""
    ids.trace, context = int(record.trace_id, 16), None
    if record.origin == "1":
        ids.span = int(record.parent_id, 16)
        above.enter_context(client.start_as_current_observation(name="above"))
    elif record.origin in "23":
        context = {"trace_id": record.trace_id} | ({"parent_span_id": record.parent_id} if record.parent_id else {})
    ids.span = int(record.span_id, 16)
    step = client._start_at(record.name, nanoseconds(start), as_type=record.as_type, trace_context=context)
    assert (step.trace_id, step.id) == (record.trace_id, record.span_id)
    prompt = SimpleNamespace(name="", version=0, is_fallback=False)
    for letter, key, value in record.fields():
        if letter == "C":
            step.update(completion_start_time=datetime.fromisoformat(value))
        elif letter in UPDATED:
            step.update(**{UPDATED[letter]: value})
        elif letter in OF_TRACE:
            step.update_trace(**{OF_TRACE[letter]: value})
        elif letter == "m":
            step.update(metadata={key: value})
        elif letter == "x":
            step.update_trace(metadata={key: value})
        elif letter == "!":
            # The text alone: a `with` block would put the class before it.
            step.update(level="ERROR")
            step.update(status_message=value)
        elif letter == "p":
            prompt.name = value
        elif letter == "q":
            prompt.version = value
            step.update(prompt=prompt)
        else:
            raise ValueError(f"no field has the letter {letter}")
    step.end(end_time=nanoseconds(end))


above = ExitStack()

if __name__ == "__main__":
    for number, vector in enumerate(json.loads(VECTORS.read_text())["vectors"]):
        ids = Ids()
        client = Client(public_key=f"pk-{number}", secret_key="sk", otel_compression="none", id_generator=ids, **vector["options"])
        with above:
            for entry in vector["records"]:
                replay(client, ids, Record(entry["record"]), entry["start"], entry["end"])
            report = client.flush(5.0)
            assert report["complete"], report
