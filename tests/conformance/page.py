"""docs/differences.md from the reasons file: `python tests/conformance/page.py` writes it."""

from __future__ import annotations

from pathlib import Path

from compare import reasons

PAGE = Path(__file__).resolve().parents[2] / "docs" / "differences.md"
HEAD = """# Where tracespool.langfuse differs from langfuse 5.0.4

Written from `tests/conformance/reasons.toml` by `python tests/conformance/page.py`. `tests/conformance` runs each of its
programs under both libraries and compares what arrives at a receiver, decoded, and what the program saw. A difference that is
not in this table fails the tests, and so does a row that does not occur any more.

| | langfuse 5.0.4 | tracespool | why |
|---|---|---|---|
"""


def page() -> str:
    """The page as it should be."""
    rows = (f"| {reason.name} | {reason.langfuse} | {reason.tracespool} | {reason.why} |" for reason in reasons())
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
