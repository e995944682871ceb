"""`EventSerializer`, by our encoder: the same text as in a trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tracespool import _native
from tracespool.langfuse import _fallthrough


class EventSerializer(json.JSONEncoder):
    """A JSON encoder for values of any kind; see docs/python.md for what each becomes."""

    def default(self, obj: Any) -> Any:
        """A value that `json` does not know, as one that it does."""
        return json.loads(self.encode(obj))

    def encode(self, obj: Any) -> str:
        """The JSON text of a value."""
        # Alone, text goes out as it is and None not at all.
        return _native.encode([obj])[1:-1]  # type: ignore[index]

    def iterencode(self, obj: Any, _one_shot: bool = False) -> Iterator[str]:
        """The same in one piece."""
        yield self.encode(obj)


__getattr__ = _fallthrough.names("_utils.serializer")
