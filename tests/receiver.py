"""The real collector, with its faults within reach."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from typing import Any

from examples.demo.collector import Collector

TRACES = "/api/public/otel/v1/traces"


class Receiver(Collector):
    """A collector of a test's own."""

    def counts(self, public_key: str | None = None) -> dict[str, int]:
        """Everything the collector counts, of one project or of all."""
        query = f"?{urllib.parse.urlencode({'project': public_key})}" if public_key else ""
        return json.loads(self.get(f"/api/v1/counts{query}"))

    def whole(self, public_key: str | None = None) -> tuple[int, int, int, int]:
        """Observations and scores stored, and how many of each came twice."""
        counts = self.counts(public_key)
        return (
            counts["observations"],
            counts["scores"],
            counts["duplicates_observations"],
            counts["duplicates_scores"],
        )

    def all_observations(self, public_key: str) -> list[dict[str, Any]]:
        """The stored observations of a project."""
        query = urllib.parse.urlencode({"project": public_key, "limit": 1000})
        return json.loads(self.get(f"/api/v1/observations?{query}"))["data"]

    def observations(self, public_key: str) -> dict[str, dict[str, Any]]:
        """The same by name."""
        return {row["name"]: row for row in self.all_observations(public_key)}

    def scores(self, public_key: str) -> list[dict[str, Any]]:
        """The stored scores of a project."""
        query = urllib.parse.urlencode({"project": public_key, "limit": 1000})
        return json.loads(self.get(f"/api/v1/scores?{query}"))["data"]

    def fault(self, name: str, **where: Any) -> None:
        """From now on the collector misbehaves: `hang`, `reset`, `401`, ... at a `path` or for a `key`, `count` times."""
        self.faults([{"fault": name, **where}])

    def get(self, path: str) -> str:
        """A page of the collector as text."""
        with urllib.request.urlopen(self.control + path, timeout=10) as response:
            return response.read().decode()
