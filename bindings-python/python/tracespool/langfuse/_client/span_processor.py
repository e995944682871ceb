"""`langfuse._client.span_processor`."""

from __future__ import annotations

from tracespool import Client
from tracespool.otel import TracespoolSpanProcessor

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from typing import Any

__all__ = ["LangfuseSpanProcessor"]


class LangfuseSpanProcessor(TracespoolSpanProcessor):
    """A span processor that is made of keys: with a client of its own, by the options that clients take."""

    def __init__(self, *, public_key: str, secret_key: str, base_url: str, media_manager: Any = None, **options: Any) -> None:
        super().__init__(Client(public_key=public_key, secret_key=secret_key, base_url=base_url, **options))
