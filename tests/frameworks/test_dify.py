"""The calls of Dify's Langfuse tracing, with the langfuse 4 that it asks for."""

from __future__ import annotations

import json
import sys

import pytest
from environments import needs, run

pytestmark = [
    needs("litellm", "test-langflow"),  # the same langfuse 4
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the tasks of /proc"),
]

TENANTS = 20


def _told(receiver, folder, *, ours: bool) -> dict:
    ended = run("litellm", receiver.url, folder, "dify_tenants.py", str(TENANTS), ours=ours)
    assert ended.code == 0, ended.err
    return json.loads(ended.lines()[-1])


def test_twenty_tenants(receiver, tmp_path):
    told = _told(receiver, tmp_path, ours=True)
    assert told["langfuse"] == "tracespool.langfuse"
    assert told["projects"] == [f"pk-tenant-{number}" for number in range(TENANTS)]
    assert told["again"] == told["projects"][: TENANTS // 2], "a tenant that was closed works again"
    assert told["tasks"] <= 2, "the main thread and the one that exports"
    assert receiver.whole() == receiver.whole("pk-tenant-0") == (1, 0, 0, 0), "a client whose provider was closed goes on"
    theirs = _told(receiver, tmp_path, ours=False)
    assert theirs["langfuse"] == "langfuse" and theirs["tasks"] > 2 * TENANTS
    # The collector answers as a server that takes traces by OTLP alone, and says so to both.
    assert told["said"] == theirs["said"] and {len(answers) for answers in told["said"]} == {3}
    assert all("is not accepted" in answer for answers in told["said"] for answer in answers)
