"""Where `make test-frameworks` installs what only these tests need."""

from __future__ import annotations

from pathlib import Path

INSTALLED = Path(__file__).resolve().parents[2] / ".venv" / "frameworks-own"
