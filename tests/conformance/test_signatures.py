"""Every public signature of langfuse 3, 4 and 5 is ours too, falls through, or has a reason why not."""

from __future__ import annotations

import json

import pytest
from signatures import ours, table


@pytest.fixture(scope="module")
def rows() -> list[table.Row]:
    return table.rows()


def test_nothing_is_absent_or_differs_without_a_reason(rows):
    all_reasons = table.reasons()
    unexplained = [sentence for row in rows for sentence in row.unexplained(all_reasons)]
    assert not unexplained, "give each a mend, or a reason in tests/conformance/signatures/reasons.toml"


def test_every_reason_is_needed(rows):
    wrong = [(row.name, major) for row in rows for major, verdict in row.verdicts.items() if verdict.word in (ours.ABSENT, ours.DIFFERS)]
    stale = [reason.names for reason in table.reasons() if not reason.awaited and not any(reason.explains(*name) for name in wrong)]
    assert not stale


def test_the_comparison_sees_what_is_wrong():
    method = {"kind": "method", "signature": [["deadline", "keyword", ""]]}
    assert ours.compare("", "Langfuse", method, "flush") == ours.Verdict(ours.DIFFERS, "no deadline")
    assert ours.compare("", "Langfuse", {"kind": "method", "signature": []}, "flush") == ours.Verdict(ours.WIDER, "+timeout")
    assert ours.compare("", "Langfuse", method, "no_such_method").word == ours.ABSENT
    assert ours.compare("", "NoSuchName", {"kind": "class"}).word == ours.ABSENT
    assert ours.compare("no_such_module", "x", {"kind": "value"}).word == ours.ABSENT
    assert ours.compare("", "Langfuse", {"kind": "property"}, "flush").word == ours.DIFFERS
    assert ours.compare("", "get_client", {"kind": "function", "signature": [["public_key", "keyword", "1"]]}).word == ours.DIFFERS


def test_the_surveys_hold_what_the_packages_have(rows):
    surveys = table.surveys()
    assert [survey["version"].partition(".")[0] for survey in surveys.values()] == ["3", "4", "5"]
    assert "start_span" in surveys[3]["modules"][""]["Langfuse"]["members"]
    assert "set_current_trace_io" in surveys[4]["modules"][""]["Langfuse"]["members"]
    assert "run_experiment" in surveys[5]["modules"][""]["Langfuse"]["members"]
    assert len(rows) > 300
    committed = json.loads((table.HERE / "langfuse-5.json").read_text())
    if committed["version"] == surveys[5]["version"]:
        assert committed == surveys[5], "run `make compatibility`"


def test_the_document_is_the_table():
    assert table.DOCUMENT.read_text() == table.document(), "run `make compatibility`"
