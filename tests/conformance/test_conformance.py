"""Programs that run unchanged under langfuse and under tracespool.langfuse do the same, but for what docs/differences.md says."""

from __future__ import annotations

import re
from pathlib import Path

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


# Prompts, datasets and what resolves media trace nothing; they have tests of their own.
NO_TRACING = ("prompt", "dataset", "experiment", "batched_evaluation", "media_references")


def test_every_tracing_call_is_in_a_program() -> None:
    from langfuse import Langfuse
    from langfuse._client import span

    text = "".join(path.read_text() for path in (Path(__file__).parent / "programs").glob("*.py"))
    classes = [Langfuse, *(kind for kind in vars(span).values() if isinstance(kind, type) and kind.__module__ == span.__name__)]
    public = {name for kind in classes for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))}
    tracing = {name for name in public if not any(other in name for other in NO_TRACING)}
    assert {"start_as_current_observation", "score_trace", "create_event", "update"} <= tracing
    calls = tracing | {"get_client", "observe", "propagate_attributes"}
    assert not {name for name in calls if not re.search(rf"\b{name}\b", text)}


def test_every_reason_occurs(found: dict[str, list[Difference]]) -> None:
    every = [one for differences in found.values() for one in differences]
    idle = [reason.name for reason in REASONS if not any(reason.explains(one) for one in every)]
    assert not idle, f"explained, but it does not occur any more: {idle}"


def test_the_page_says_what_the_reasons_say() -> None:
    assert PAGE.read_text() == page(), "run python tests/conformance/page.py"
