"""The same programs with langfuse's SDK and with ours: every observation and every attribute of it, and where they differ.

What differs is listed here and in docs/integrations.md; anything else fails.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer
from receiver import Receiver
from stored import Stored

HERE = Path(__file__).parent
RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
# Keys that only one library writes on every observation, or whose values are times.
NEUTRAL = ("langfuse.observation.completion_start_time",)
Found = dict[str, list[dict[str, Any]]]


def run(library: str, program: str, collector: Receiver, server: OpenAIServer) -> Found:
    """Attributes by path; JSON is read, so that spaces and escapes do not count."""
    key = f"pk-twin-{library}-{program}"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LANGFUSE_", "PYTEST_"))}
    environ |= {"LANGFUSE_PUBLIC_KEY": key, "LANGFUSE_SECRET_KEY": "sk-twin", "LANGFUSE_BASE_URL": collector.url}
    ended = subprocess.run(
        [sys.executable, str(HERE / f"{program}.py"), library, server.url],
        env=environ,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert ended.returncode == 0, ended.stderr
    rows = Stored(collector, key).rows()
    known = {row["span_id"]: row for row in rows}
    found: Found = {}
    for row in rows:
        path, at = [], row
        while at is not None:
            path.append(at["name"])
            at = known.get(at["parent"])
        found.setdefault("/".join(reversed(path)), []).append({key: read(value) for key, value in row["attributes"].items()})
    return found


def read(value: Any) -> Any:
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        pass
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = sorted(value)  # langfuse takes tags through a set
    return json.loads(RANDOM.sub("random", json.dumps(value)))


def differences(program: str, collector: Receiver, server: OpenAIServer) -> set[tuple[str, str]]:
    theirs, ours = (run(library, program, collector, server) for library in ("langfuse", "tracespool"))
    assert len(theirs) >= 20
    found = {(path, "only langfuse") for path in theirs.keys() - ours.keys()}
    found |= {(path, "only tracespool") for path in ours.keys() - theirs.keys()}
    for path in theirs.keys() & ours.keys():
        if len(theirs[path]) != len(ours[path]):
            found.add((path, "count"))
        for one, other in zip(theirs[path], ours[path], strict=False):
            for key in one.keys() | other.keys():
                if key in NEUTRAL and key in one and key in other:
                    continue
                if one.get(key) != other.get(key):
                    found.add((path, key.removeprefix("langfuse.observation.")))
    return found


@pytest.mark.timeout(180)
def test_langchain(collector: Receiver, server: OpenAIServer) -> None:
    assert differences("twin_langchain", collector, server) == {
        # A model that is called alone carries what its metadata says of the trace.
        ("model", "session.id"),
        ("model", "user.id"),
        ("model", "langfuse.trace.name"),
        ("model", "langfuse.trace.tags"),
        # What a coroutine traces nests below its run.
        ("inside a coroutine", "only langfuse"),
        ("async/step/inside a coroutine", "only tracespool"),
        # A resumed graph goes on in the trace that it was interrupted in.
        ("resumed", "only langfuse"),
        ("resumed/ask", "only langfuse"),
        ("graph/resumed", "only tracespool"),
        ("graph/resumed/ask", "only tracespool"),
    }


@pytest.mark.timeout(180)
def test_openai(collector: Receiver, server: OpenAIServer) -> None:
    assert differences("twin_openai", collector, server) == {
        # A stream that breaks is an error.
        ("breaks", "level"),
        ("breaks", "status_message"),
        # Streaming responses are recorded.
        ("OpenAI-generation", "only tracespool"),
    }


def test_usage_of_all_providers_is_what_langfuse_makes_of_it() -> None:
    from langfuse.langchain.CallbackHandler import _parse_usage_model

    from tracespool.integrations._langchain_usage import counts

    modality = [{"modality": "TEXT", "token_count": 8}, {"modality": "IMAGE", "token_count": 4}]
    table: list[dict[str, Any]] = [
        {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 2},
            "completion_tokens_details": None,
        },
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 3}},
        {"prompt_token_count": 12, "candidates_token_count": 5, "total_token_count": 17},
        {
            "prompt_token_count": 12,
            "candidates_token_count": 12,
            "total_token_count": 24,
            "prompt_tokens_details": modality,
            "candidates_tokens_details": modality,
            "cache_tokens_details": [{"modality": "TEXT", "token_count": 3}],
        },
        {"inputTokenCount": [3, 4], "outputTokenCount": 5, "totalTokenCount": [5, 7], "invocationLatency": 200},
        {"input_token_count": 3, "generated_token_count": 4},
        {
            "input_tokens": 100,
            "output_tokens": 50,
            "total_tokens": 150,
            "input_token_details": {"cache_read": 30, "audio": 5, "priority": 7, "priority_cache_read": 1},
            "output_token_details": {"reasoning": 20},
        },
        {
            "input_tokens": 100,
            "output_tokens": 50,
            "cache_read_input_tokens": 3,
            "cache_creation": {"ephemeral_5m_input_tokens": 2048, "ephemeral_1h_input_tokens": 0, "other": "x"},
            "service_tier": "standard",
        },
        {
            "input_tokens": 1,
            "output_tokens": 1,
            "cache_creation_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 9},
        },
        {"input_tokens": 2, "output_tokens": 1, "input_token_details": {"cache_read": 30}},
        {"nothing": "counts"},
    ]
    for usage in table:
        assert counts(json.loads(json.dumps(usage))) == _parse_usage_model(json.loads(json.dumps(usage))), usage


@pytest.mark.parametrize(
    ("serialized", "called_with"),
    [
        ({"id": ["x", "ChatGoogleGenerativeAI"], "kwargs": {"model": "gemini"}}, {}),
        ({"id": ["x", "ChatVertexAI"], "kwargs": {"model_name": "gemini"}}, {"model": "other"}),
        ({"id": ["x", "ChatOpenAI"], "kwargs": {}}, {"model_name": "gpt", "model": "other"}),
        ({"id": ["x", "ChatOpenAI"], "kwargs": {"model_name": "made"}}, {"model": "called"}),
        ({"id": ["x", "AzureChatOpenAI"], "kwargs": {}}, {"azure_deployment": "deployed"}),
        ({"id": ["x", "AzureChatOpenAI"], "kwargs": {}}, {"model": "m", "azure_deployment": "deployed"}),
        (
            {
                "id": ["x", "AzureOpenAI"],
                "kwargs": {"deployment_name": "d", "deployment_version": "2", "openai_api_version": "v"},
            },
            {},
        ),
        ({"id": ["x", "AzureOpenAI"], "kwargs": {"deployment_name": "d"}}, {}),
        ({"id": ["x", "AzureOpenAI"], "kwargs": {}}, {}),
        ({"id": ["x", "ChatBedrock"], "kwargs": {"model_id": "claude"}}, {}),
        ({"id": ["x", "WatsonxLLM"], "kwargs": {}}, {"model_id": "granite"}),
        ({"id": ["x", "ChatAnthropic"], "repr": "ChatAnthropic(model='claude-4', x='y')"}, {}),
        ({"id": ["x", "Anthropic"], "repr": "Anthropic()"}, {}),
        ({"id": ["x", "TextGen"], "repr": "TextGen()"}, {}),
        ({"id": ["x", "Ollama"], "repr": "Ollama(model='llama')"}, {}),
        ({"id": ["x", "Unknown"], "kwargs": {"model": "made"}}, {}),
        ({"id": ["x", "Unknown"], "kwargs": {}}, {"model": "called"}),
        ({"id": ["x", "Unknown"], "kwargs": {}}, {}),
        (None, {"model_name": "called"}),
        (None, {}),
    ],
)
def test_model_names_are_found_where_langfuse_finds_them(serialized: Any, called_with: Any) -> None:
    from langfuse.langchain.utils import _extract_model_name

    from tracespool.integrations._langchain_model import name

    assert name(serialized, {}, called_with) == _extract_model_name(serialized, invocation_params=called_with)
    assert name(serialized, {"ls_model_name": "said"}, called_with) == "said"
