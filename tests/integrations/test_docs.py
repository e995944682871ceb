"""The examples of docs/integrations.md run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from openai_server import OpenAIServer
from program import environment
from receiver import Receiver
from stored import Stored

PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"


def test_the_examples_run(receiver: Receiver, server: OpenAIServer) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    environ = environment(receiver.url, OPENAI_API_KEY="sk-x", OPENAI_BASE_URL=server.url)
    for block in blocks:
        ended = subprocess.run([sys.executable, "-c", block], env=environ, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended.stderr
    model, answer = Stored(receiver, environ["LANGFUSE_PUBLIC_KEY"]).rows()
    assert model["output"] is not None
    assert model["attributes"]["session.id"] == "s-1"
    assert (answer["name"], answer.said("metadata.plan")) == ("answer", "pro")
