"""Small functions of Langfuse's SDK that frameworks import."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any


def _get_timestamp() -> datetime:
    from datetime import datetime, timezone

    return datetime.now(timezone.utc)


def _create_prompt_context(prompt: Any = None) -> dict[str, Any]:
    if prompt is not None and not prompt.is_fallback:
        return {"prompt_version": prompt.version, "prompt_name": prompt.name}
    return {"prompt_version": None, "prompt_name": None}
