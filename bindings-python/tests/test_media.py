"""Media: what is found in values, what is uploaded, and what a broken store does to the rest."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tracespool
from tracespool.media import LangfuseMedia

CONTENT = b"hello"
B64 = base64.b64encode(CONTENT).decode()
PNG = f"data:image/png;base64,{B64}"


def media_id(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()[:22]


def reference(kind: str = "image/png", content: bytes = CONTENT, source: str = "base64_data_uri") -> str:
    return f"@@@langfuseMedia:type={kind}|id={media_id(content)}|source={source}@@@"


def media(collector: Any, key: str, **query: Any) -> list[dict[str, Any]]:
    return collector.get("/api/v1/media", project=key, limit=1000, **query)["data"]


Sent = Callable[[], dict[str, dict[str, Any]]]

# What langfuse 5.0.4 makes of the same values, with two additions of its OpenAI wrapper (the audio shapes).
SHAPES: dict[str, tuple[Any, Any]] = {
    "text": (PNG, reference()),
    "openai_image": (
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": reference(), "detail": "low"}}]}],
    ),
    "openai_audio": (
        {"type": "input_audio", "input_audio": {"data": B64, "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": reference("audio/wav"), "format": "wav"}},
    ),
    "openai_answer": (
        {"audio": {"id": "a1", "data": B64, "expires_at": 1, "transcript": "hi"}},
        {"audio": {"id": "a1", "data": reference("audio/wav"), "expires_at": 1, "transcript": "hi"}},
    ),
    "anthropic": (
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": B64}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": reference("image/jpeg")}},
    ),
    "gemini": (
        {"inline_data": {"mime_type": "image/jpeg", "data": B64}},
        {"inline_data": {"mime_type": "image/jpeg", "data": reference("image/jpeg")}},
    ),
    "gemini_camel": (
        {"parts": [{"inlineData": {"data": B64, "mimeType": "application/pdf"}}]},
        {"parts": [{"inlineData": {"data": reference("application/pdf"), "mimeType": "application/pdf"}}]},
    ),
    "gemini_bytes": (
        {"inline_data": {"mime_type": "image/jpeg", "data": CONTENT}},
        {"inline_data": {"mime_type": "image/jpeg", "data": reference("image/jpeg", source="bytes")}},
    ),
    "vertex": (
        {"type": "media", "mime_type": "audio/mp3", "data": B64},
        {"type": "media", "mime_type": "audio/mp3", "data": reference("audio/mp3")},
    ),
    "wrapped": (
        {"picture": LangfuseMedia(content_bytes=CONTENT, content_type="image/png")},
        {"picture": reference(source="bytes")},
    ),
    "in_a_tuple_and_a_set": ((PNG, {PNG}), [reference(), [reference()]]),
    "parameters": ({"a": f"data:image/png;charset=utf-8;base64,{B64}"}, {"a": reference()}),
    "url_safe_and_unpadded": (
        {"a": "data:image/png;base64," + base64.urlsafe_b64encode(b"\xfb\xff\xbf\xfe").decode().rstrip("=")},
        {"a": reference(content=b"\xfb\xff\xbf\xfe")},
    ),
    "wrapped_lines": ({"a": f"data:image/png;base64,{B64[:4]}\n{B64[4:]}\n"}, {"a": reference()}),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("field", ["input", "output", "metadata"])
def test_shapes(client: tracespool.Client, collector: Any, key: str, sent: Sent, name: str, field: str) -> None:
    given, expected = SHAPES[name]
    if field == "metadata":
        given, expected = {"m": given}, expected
    with client.start_as_current_observation(name="o", **{field: given}) as observation:
        pass
    row = sent()["o"]
    stored = row[field]["m"] if field == "metadata" else row[field]
    if isinstance(stored, str):
        stored = json.loads(stored)
    assert stored == expected
    content = CONTENT if name != "url_safe_and_unpadded" else b"\xfb\xff\xbf\xfe"
    [use] = media(collector, key)
    assert (use["id"], use["field"], use["status"]) == (media_id(content), field, 200)
    assert (use["trace_id"], use["observation_id"]) == (observation.trace_id, observation.id)
    assert use["content_length"] == len(content)


@pytest.mark.parametrize(
    "value",
    [
        "see " + PNG,
        "data: {'choices': []}",
        "data:text/plain,hello",
        "data:image/png;base64,",
        "data:image/png;base64,not base64!",
        "data:;base64,aGVsbG8=",
        {"mime_type": "text/plain", "data": "abcd"},
        {"type": "base64", "media_type": "image/png", "data": "!!!"},
        {"type": "base64", "media_type": "image/png|id=forged", "data": B64},
        {"data": B64, "format": "wav"},
        {"audio": {"data": B64, "format": "other"}},
        {"inline_data": "abcd", "then": {"mime_type": "text/plain", "data": "abcd"}},
        {"type": "base64", "media_type": "image/png", "data": reference()},
    ],
    ids=repr,
)
def test_what_is_no_media_stays(client: tracespool.Client, collector: Any, key: str, sent: Sent, value: Any) -> None:
    client.start_observation(name="o", input=value).end()
    stored = sent()["o"]["input"]
    assert (stored if isinstance(value, str) else json.loads(stored)) == value
    assert media(collector, key) == []
