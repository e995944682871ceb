"""The same form for what two libraries sent, so that what is left to compare is what they mean.

Ids become labels by structure: a span is named by the names of its ancestors, a trace by its first span. Ids that both
libraries sent (seeded ones, or named by the program) stay as they are. Times inside the program's life become `now`.
JSON text is parsed; the JSON quoting that langfuse 5 puts around every metadata value is taken off, and objects and arrays
in metadata are parsed on both sides.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from wire import Sent, Span

_JSON = tuple(
    f"langfuse.observation.{name}"
    for name in ("input", "output", "model.parameters", "usage_details", "cost_details", "completion_start_time")
)
_METADATA = ("langfuse.observation.metadata", "langfuse.trace.metadata", "langfuse.experiment")
_IDS = re.compile(r"\b(?:[0-9a-f]{32}|[0-9a-f]{16})\b")
_SLACK = 1_000_000_000


@dataclass
class Shown:
    """What one library did with a program: what it sent, and what the program saw and how it ended."""

    sent: Sent
    ended: dict[str, Any]
    quoted: bool  # metadata values are JSON text, strings included


def form(mine: Shown, other: Shown) -> dict[str, Any]:
    """The comparable form of `mine`."""
    labels = _labels(mine, _ids(mine) & _ids(other))
    spans: dict[str, Any] = {}
    for span in mine.sent.spans:
        spans[labels[span.span_id]] = _span(span, mine, labels)
    scores: dict[str, Any] = {}
    for project, score in sorted(mine.sent.scores, key=lambda pair: (str(pair[1].get("name")), str(pair[1].get("timestamp")))):
        shown = {"project": project} | _named(score, mine, labels, unknown=True)
        _put(scores, str(score.get("name")), shown | {"timestamp": _instant(str(score.get("timestamp")), mine)})
    said: dict[str, Any] = {}
    for what, value in mine.ended["said"]:
        _put(said, what, _named(value, mine, labels, unknown=True))
    return {"spans": spans, "scores": scores, "said": said, "transport": mine.sent.transport, "exit code": mine.ended["code"]}


def _put(into: dict[str, Any], label: str, value: Any) -> None:
    """Under its label, or the label with a number where that is taken."""
    at = 1
    while (numbered := label if at == 1 else f"{label} #{at}") in into:
        at += 1
    into[numbered] = value


def _ids(shown: Shown) -> set[str]:
    """Every id that was sent, or that the program saw."""
    text = json.dumps([[span.trace_id, span.span_id, span.parent] for span in shown.sent.spans])
    text += json.dumps([score for _, score in shown.sent.scores]) + json.dumps(shown.ended["said"])
    return set(_IDS.findall(text))


def _labels(shown: Shown, fixed: set[str]) -> dict[str, str]:
    """A label for each id."""
    spans = {span.span_id: span for span in shown.sent.spans}
    labels = {one: one for one in fixed}
    taken: dict[str, Any] = {}

    def path(span: Span, depth: int = 0) -> tuple[str, ...]:
        above = spans.get(span.parent) if depth < 50 else None
        return (*path(above, depth + 1), span.name) if above else (span.name,)

    for span in sorted(spans.values(), key=lambda span: (path(span), span.start)):
        label = " > ".join(path(span))
        _put(taken, label, span.span_id)
        labels[span.span_id] = next(name for name, one in taken.items() if one == span.span_id)
        labels.setdefault(span.trace_id, f"<trace of {labels[span.span_id]}>")
    return labels


def _span(span: Span, shown: Shown, labels: dict[str, str]) -> dict[str, Any]:
    attributes = {key: _attribute(key, value, shown.quoted) for key, value in span.attributes.items()}
    parent = labels.get(span.parent, "<one that was not sent>") if span.parent else None
    return _named({"attributes": attributes, "resource": span.resource}, shown, labels) | span.rest | {
        "project": span.project,
        "trace": labels[span.trace_id],
        "parent": parent,
        "start": _time(span.start, shown),
        "end": _time(span.end, shown),
        "scope": span.scope,
    }


def _attribute(key: str, value: Any, quoted: bool) -> Any:
    if not isinstance(value, str):
        return value
    if key in _JSON:
        return parsed(value)
    if key.startswith(_METADATA):
        if quoted or key == "langfuse.observation.metadata":
            value = parsed(value)
        return parsed(value) if isinstance(value, str) and value[:1] in ("{", "[") else value
    return value


def parsed(text: str) -> Any:
    """The JSON value of a text, or the text where it is none. A key that comes twice is shown as such."""

    def pairs(items: list[tuple[str, Any]]) -> Any:
        keys = [key for key, _ in items]
        return dict(items) if len(set(keys)) == len(keys) else {"keys that came twice": sorted(items, key=str)}

    def refuse(word: str) -> Any:
        raise ValueError(word)

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=refuse)
    except (ValueError, RecursionError):
        return text


def _named(value: Any, shown: Shown, labels: dict[str, str], unknown: bool = False) -> Any:
    """Ids inside a value, replaced: those that have a label, and where wanted what looks like one."""
    if isinstance(value, dict):
        return {key: _named(item, shown, labels, unknown) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item, shown, labels, unknown) for item in value]
    if not isinstance(value, str):
        return value
    return _IDS.sub(lambda found: labels.get(found[0], "<id>" if unknown else found[0]), value)


def _instant(text: str, shown: Shown) -> str:
    """A time as text, however it is written."""
    at = datetime.fromisoformat(text)
    word = _time(int(at.timestamp() * 1e9), shown)
    return word if word == "now" else at.astimezone(timezone.utc).isoformat()


def _time(at: int, shown: Shown) -> str:
    inside = shown.ended.get("began", 0) - _SLACK <= at <= shown.ended.get("ended", 0) + _SLACK
    return "now" if inside else str(at)
