"""What the collector holds."""

from __future__ import annotations

import json
from typing import Any

from receiver import Receiver


class Row(dict):
    """An observation as it is stored."""

    def said(self, name: str) -> Any:
        """An attribute by the end of its key; JSON is read."""
        text = self["attributes"].get(f"langfuse.observation.{name}")
        try:
            return json.loads(text) if isinstance(text, str) else text
        except ValueError:
            return text


class Stored:
    """What the collector holds of one key."""

    def __init__(self, collector: Receiver, key: str) -> None:
        self.collector = collector
        self.key = key

    def rows(self) -> list[Row]:
        """All observations, by their start."""
        text = self.collector.get(f"/api/v1/observations?project={self.key}&limit=1000")
        return sorted((Row(row) for row in json.loads(text)["data"]), key=lambda row: row["start_ns"])

    def paths(self) -> dict[str, Row]:
        """By the names from the root down; the last of a name stands for it."""
        rows = self.rows()
        known = {row["span_id"]: row for row in rows}
        found = {}
        for row in rows:
            path, at = [], row
            while at is not None:
                path.append(at["name"])
                at = known.get(at["parent"])
            found["/".join(reversed(path))] = row
        return found
