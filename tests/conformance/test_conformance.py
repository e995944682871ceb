"""Programs that run unchanged under langfuse and under tracespool.langfuse do the same, but for what docs/differences.md says."""

from __future__ import annotations

import pytest
from compare import Difference, reasons
from page import PAGE, page
from runs import programs, run

PROGRAMS = programs()
REASONS = reasons()


@pytest.fixture(scope="session")
def found(request: pytest.FixtureRequest) -> dict[str, list[Difference]]:
    """The differences of all programs that are asked for, run at once."""
    if any(item.name == test_every_reason_occurs.__name__ for item in request.session.items):
        return run(PROGRAMS)
    asked = {item.callspec.params["program"] for item in request.session.items if hasattr(item, "callspec")}
    return run([name for name in PROGRAMS if name in asked])


@pytest.mark.parametrize("program", PROGRAMS)
def test_both_do_the_same(found: dict[str, list[Difference]], program: str) -> None:
    unexplained = [one for one in found[program] if not any(reason.explains(one) for reason in REASONS)]
    assert not unexplained, "\n".join(map(str, unexplained))


def test_every_reason_occurs(found: dict[str, list[Difference]]) -> None:
    every = [one for differences in found.values() for one in differences]
    idle = [reason.name for reason in REASONS if not any(reason.explains(one) for one in every)]
    assert not idle, f"explained, but it does not occur any more: {idle}"


def test_the_page_says_what_the_reasons_say() -> None:
    assert PAGE.read_text() == page(), "run python tests/conformance/page.py"
