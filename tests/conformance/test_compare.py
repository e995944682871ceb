"""The comparison itself: it sees what it is meant to see, and only that."""

from __future__ import annotations

import re
from typing import Any

from compare import Difference, Reason, differences
from normal import Shown, form, parsed
from wire import Sent, Span


def _span(name: str, span_id: str, parent: str = "", trace_id: str = "a" * 32, start: int = 5, **attributes: Any) -> Span:
    return Span("pk", trace_id, span_id, parent, name, start, start + 1, {"kind": 1}, attributes, {}, {"name": "s"})


def _shown(*spans: Span, quoted: bool = False, said: Any = (), scores: Any = ()) -> Shown:
    ended = {"said": list(said), "code": 0, "began": 2_000_000_000, "ended": 3_000_000_000}
    return Shown(Sent(list(spans), list(scores)), ended, quoted)


def _found(theirs: Shown, ours: Shown) -> list[str]:
    return [one.where for one in differences("p", form(theirs, ours), form(ours, theirs))]


def test_ids_and_the_order_of_arrival_do_not_count() -> None:
    theirs = _shown(_span("child", "1" * 16, "2" * 16), _span("root", "2" * 16))
    ours = _shown(_span("root", "3" * 16, trace_id="b" * 32), _span("child", "4" * 16, "3" * 16, trace_id="b" * 32))
    assert _found(theirs, ours) == []


def test_a_child_elsewhere_is_seen() -> None:
    spans = [_span("root", "1" * 16), _span("other", "2" * 16)]
    theirs, ours = _shown(*spans, _span("child", "3" * 16, "1" * 16)), _shown(*spans, _span("child", "4" * 16, "2" * 16))
    assert _found(theirs, ours) == ["spans / other > child", "spans / root > child"]


def test_a_trace_that_fell_apart_is_seen() -> None:
    theirs = _shown(_span("a", "1" * 16), _span("b", "2" * 16))
    ours = _shown(_span("a", "3" * 16), _span("b", "4" * 16, trace_id="c" * 32))
    assert _found(theirs, ours) == ["spans / b / trace"]


def test_ids_that_both_sent_must_be_the_same() -> None:
    fixed = {"traceId": "f" * 32, "name": "s", "timestamp": "1970-01-01T00:00:02Z"}
    theirs = _shown(_span("a", "1" * 16, trace_id="f" * 32), scores=[("pk", fixed)])
    ours = _shown(_span("a", "2" * 16, trace_id="e" * 32), scores=[("pk", fixed)])
    assert _found(theirs, ours) == ["spans / a / trace"]


def test_quotes_of_metadata_come_off_on_one_side_and_types_count() -> None:
    key = "langfuse.observation.metadata.k"
    for theirs, ours, same in [
        ('"text"', "text", True),
        ("5", 5, True),
        ("5", "5", False),
        ("5", 5.0, False),
        ("1", True, False),
        ('"2026"', '"2026"', False),
        ('{"a":[1]}', '{"a": [1]}', True),
        ('{"a":[1]}', '{"a": ["1"]}', False),
    ]:
        found = _found(
            _shown(_span("a", "1" * 16, **{key: theirs}), quoted=True), _shown(_span("a", "2" * 16, **{key: ours}))
        )
        assert (found == []) is same, (theirs, ours, found)


def test_times_count_outside_of_the_programs_life() -> None:
    theirs, ours = _shown(_span("a", "1" * 16, start=2_100_000_000)), _shown(_span("a", "2" * 16, start=2_900_000_000))
    assert _found(theirs, ours) == []
    assert _found(_shown(_span("a", "1" * 16, start=10**18)), ours) == ["spans / a / end", "spans / a / start"]


def test_keys_that_come_twice_are_seen() -> None:
    assert parsed('{"a": 1, "a": 2}') == {"keys that came twice": [("a", 1), ("a", 2)]}
    assert parsed("NaN") == "NaN"


def test_a_reason_explains_its_place_and_values_only() -> None:
    reason = Reason("r", re.compile("spans / a / b"), "", "", "", ["topic.*"], theirs=1)
    assert reason.explains(Difference("topic.x", "spans / a / b", 1, 2))
    assert not reason.explains(Difference("topic.x", "spans / a / b / c", 1, 2))
    assert not reason.explains(Difference("topic.x", "spans / a / b", 3, 2))
    assert not reason.explains(Difference("other.x", "spans / a / b", 1, 2))
