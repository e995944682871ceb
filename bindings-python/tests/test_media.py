"""Media: what is found in values, what is uploaded, and what a broken store does to the rest."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tracespool
from tracespool.media import LangfuseMedia, LangfuseMediaReference, MediaError

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


def test_langfuses_own_class_and_a_reference_to_stored_media(
    client: tracespool.Client, collector: Any, key: str, sent: Sent
) -> None:
    langfuse = pytest.importorskip("langfuse.media")
    theirs = langfuse.LangfuseMedia(content_bytes=CONTENT, content_type="image/png")
    known = LangfuseMediaReference(media_id="m", content_type="image/png", url="http://h/", reference_string=reference())
    bare = LangfuseMediaReference(media_id="m", content_type="image/png", url="http://h/")
    client.start_observation(name="o", input=[theirs, known, bare]).end()
    stored = json.loads(sent()["o"]["input"])
    assert stored[:2] == [reference(source="bytes"), reference()]
    assert stored[2]["media_id"] == "m"
    assert len(media(collector, key)) == 1


def test_the_ways_to_pass_values(client: tracespool.Client, collector: Any, key: str, sent: Sent) -> None:
    @tracespool.observe
    def function(picture: str) -> dict[str, str]:
        return {"again": picture}

    @tracespool.observe
    def generator(picture: str) -> Iterator[str]:
        yield "a"
        yield picture

    function(PNG)
    list(generator(PNG))
    with client.start_as_current_observation(name="block", input=PNG) as block:
        block.update(output=PNG, metadata={"k": PNG})
    with client.start_as_current_observation(name="current"):
        client.update_current_span(input=PNG)
    client.create_event(name="event", input=PNG)
    rows = sent()
    assert reference() in rows["function"]["input"] and reference() in rows["function"]["output"]
    assert json.loads(rows["generator"]["output"]) == ["a", reference()]
    assert all("base64," not in json.dumps(row) for row in rows.values())
    uses = {(use["observation_id"], use["field"]) for use in media(collector, key)}
    expected = {("function", "input"), ("function", "output"), ("generator", "input"), ("generator", "output")}
    expected |= {("block", "input"), ("block", "output"), ("block", "metadata"), ("current", "input"), ("event", "input")}
    assert uses == {(rows[name]["span_id"], field) for name, field in expected}
    assert collector.counts(key)["media"] == {
        "contents": 1,
        "announcements": len(expected),
        "uploads": 1,
        "confirmations": 1,
    }


def test_a_model_with_bytes(client: tracespool.Client, collector: Any, key: str, sent: Sent) -> None:
    pydantic = pytest.importorskip("pydantic")

    class Blob(pydantic.BaseModel):
        mime_type: str
        data: bytes

    class Part(pydantic.BaseModel):
        inline_data: Blob

    client.start_observation(name="o", input=[Part(inline_data=Blob(mime_type="image/webp", data=b"\xff\x00"))]).end()
    expected = reference("image/webp", b"\xff\x00", "bytes")
    assert json.loads(sent()["o"]["input"]) == [{"inline_data": {"mime_type": "image/webp", "data": expected}}]
    assert [use["status"] for use in media(collector, key)] == [200]


def test_a_sampled_out_observation_uploads_nothing(collector: Any, key: str) -> None:
    client = tracespool.Client(public_key=key, secret_key="sk", base_url=collector.url, sample_rate=0.0)
    client.start_observation(name="o", input=PNG).end()
    client.flush()
    assert media(collector, key) == []


def test_switched_off(collector: Any, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGFUSE_MEDIA_UPLOAD_ENABLED", "False")
    client = tracespool.Client(public_key=key, secret_key="sk", base_url=collector.url)
    wrapped = LangfuseMedia(content_bytes=CONTENT, content_type="image/png")
    client.start_observation(name="o", input=PNG, output=wrapped).end()
    assert client.flush()["complete"]
    row = collector.observations(key)["o"]
    assert row["input"] == PNG
    assert reference(source="bytes") in row["output"]
    assert media(collector, key) == []
    tracespool.cleanup_client(key)


def test_a_mask_sees_the_value_first(collector: Any, key: str) -> None:
    seen: list[Any] = []

    def mask(data: Any) -> Any:
        seen.append(data)
        return "hidden" if isinstance(data, str) and data.startswith("data:image/jpeg") else data

    client = tracespool.Client(public_key=key, secret_key="sk", base_url=collector.url, mask=mask)
    secret = f"data:image/jpeg;base64,{B64}"
    with client.start_as_current_observation(name="o", input=secret, output={"a": PNG}):
        pass
    assert client.flush()["complete"]
    assert seen == [secret, {"a": PNG}]
    row = collector.observations(key)["o"]
    assert (row["input"], json.loads(row["output"])) == ("hidden", {"a": reference()})
    assert [use["content_type"] for use in media(collector, key)] == ["image/png"]
    tracespool.cleanup_client(key)


def test_twenty_threads_with_the_same_content_upload_it_once(
    client: tracespool.Client, collector: Any, key: str
) -> None:
    content = os.urandom(300_000)
    uri = "data:image/png;base64," + base64.b64encode(content).decode()
    start = threading.Barrier(20)

    def work() -> None:
        start.wait()
        for _ in range(3):
            client.start_observation(name="o", input=[{"image_url": {"url": uri}}]).end()

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = client.flush(20.0)
    assert report["complete"] and report["delivered"] == 120, report
    assert collector.counts(key)["media"] == {"contents": 1, "announcements": 60, "uploads": 1, "confirmations": 1}
    assert len(media(collector, key)) == 60


def test_tenants_upload_each_for_themselves(collector: Any, key: str) -> None:
    for tenant in ("a", "b"):
        client = tracespool.Client(public_key=key + tenant, secret_key="sk", base_url=collector.url)
        client.start_observation(name="o", input=PNG).end()
        assert client.flush()["complete"]
        assert collector.counts(key + tenant)["media"]["uploads"] == 1
        tracespool.cleanup_client(key + tenant)


def test_ten_megabytes(client: tracespool.Client, collector: Any, key: str, sent: Sent) -> None:
    content = os.urandom(10_000_000)
    uri = "data:video/mp4;base64," + base64.b64encode(content).decode()
    client.start_observation(name="o", input={"clip": uri}).end()
    assert json.loads(sent()["o"]["input"]) == {"clip": reference("video/mp4", content)}
    assert client.resolve_media_references(obj=reference("video/mp4", content)) == uri
    [stats] = [part for part in tracespool.stats()["destinations"] if part["public_key"] == key]
    assert stats["media"]["delivered"] == 1 and stats["bytes"] == 0


def stats_of(key: str) -> dict[str, Any]:
    [found] = [part for part in tracespool.stats()["destinations"] if part["public_key"] == key]
    return found


def test_what_does_not_fit_is_counted_and_costs_no_span(dead_client: tracespool.Client, key: str) -> None:
    for number in range(12):
        content = bytes([number]) * 2_000_000
        wrapped = LangfuseMedia(content_bytes=content, content_type="application/pdf")
        dead_client.start_observation(name="o", input=wrapped).end()
    too_large = LangfuseMedia(content_bytes=b"x" * 20_000_000, content_type="application/pdf")
    dead_client.start_observation(name="o", input=too_large).end()
    stats = stats_of(key)
    media = stats["media"]
    assert (media["submitted"], media["dropped"]["too_large"]) == (13, 1)
    assert 5 <= media["pending"] <= 6 and media["pending"] + sum(media["dropped"].values()) == 13
    assert (stats["observations"]["pending"], stats["observations"]["dropped"]) == (13, {})
    assert stats["bytes"] < 16 << 20


class DeadStore:
    """Takes connections and never says a word."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._taken: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        try:
            while True:
                self._taken.append(self._listener.accept()[0])
        except OSError:
            return

    def close(self) -> None:
        self._listener.close()
        for taken in self._taken:
            taken.close()


@pytest.mark.parametrize("store", ["hangs", "refuses", "500", "never named"])
def test_a_dead_store_delays_no_span(
    start_collector: Callable[..., Any], key: str, store: str
) -> None:
    dead = DeadStore()
    urls = {"hangs": dead.url, "refuses": "http://127.0.0.1:9"}
    collector = start_collector(*(["--storage-url", urls[store]] if store in urls else []))
    faults = {"500": ("500", "/storage/"), "never named": ("hang", "/api/public/media")}
    if store in faults:
        collector.faults(dict(zip(("fault", "path"), faults[store], strict=True)))
    client = tracespool.Client(public_key=key, secret_key="sk", base_url=collector.url, flush_interval=0.2)
    for number in range(20):
        client.start_observation(name="o", input=f"{PNG[:-8]}{base64.b64encode(bytes([number] * 6)).decode()}").end()
    began = time.monotonic()
    report = client.flush(1.0)
    took = time.monotonic() - began
    assert took < 1.3
    assert (report["complete"], report["delivered"]) == (False, 20), report
    assert report["pending"] + report["unconfirmed"] == 20, report
    assert collector.counts(key)["observations"] == 20
    # Other data goes on as if nothing were wrong.
    client.start_observation(name="later").end()
    assert collector.wait_for(key, 21, 4.0) == 21
    stats = stats_of(key)
    assert (stats["media"]["pending"], stats["observations"]["pending"]) == (20, 0)
    closed = client.shutdown(0.5)
    assert (closed["dropped"] + closed["unconfirmed"], closed["pending"]) == (20, 0), closed
    dead.close()


def test_a_store_that_refuses_is_told_to_the_server_and_counted(
    start_collector: Callable[..., Any], key: str, caplog: pytest.LogCaptureFixture
) -> None:
    collector = start_collector()
    collector.faults({"fault": "301", "path": "/storage/"})
    client = tracespool.Client(public_key=key, secret_key="sk-hidden", base_url=collector.url)
    with caplog.at_level(logging.WARNING, "tracespool"):
        client.start_observation(name="o", input=PNG).end()
        report = client.flush(5.0)
        tracespool.stats()
    assert (report["complete"], report["delivered"], report["dropped"]) == (True, 1, 1)
    assert stats_of(key)["media"]["dropped"] == {"rejected": 1}
    [use] = media(collector, key)
    assert (use["status"], use["stored"]) == (301, 0)
    assert "answered 301 to media" in caplog.text
    # The address is signed: it is as good as a key.
    assert "/storage/" not in caplog.text and "sk-hidden" not in caplog.text
    tracespool.cleanup_client(key)


def test_a_child_uploads_its_own_and_the_parents_once(client: tracespool.Client, collector: Any, key: str) -> None:
    client.start_observation(name="parent", input=PNG).end()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            client.start_observation(name="child", input=f"data:image/gif;base64,{B64}").end()
            code = 0 if client.flush(5.0)["delivered"] == 2 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.flush(5.0)["complete"]
    names = {row["span_id"]: name for name, row in collector.observations(key).items()}
    assert sorted(names[use["observation_id"]] for use in media(collector, key)) == ["child", "parent"]
    counts = collector.counts(key)["media"]
    assert (counts["contents"], counts["uploads"], counts["announcements"]) == (1, 1, 2)


def test_a_program_that_ends_has_uploaded(collector: Any, key: str) -> None:
    source = f"""
import tracespool
client = tracespool.Client(public_key={key!r}, secret_key="sk", base_url={collector.url!r})
for _ in range(3):
    client.start_observation(name="o", input={PNG!r}).end()
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert collector.counts(key)["media"] == {"contents": 1, "announcements": 3, "uploads": 1, "confirmations": 1}


def test_objects_change_while_a_large_content_is_decoded(client: tracespool.Client, sent: Sent) -> None:
    """The interpreter's lock is released meanwhile: other threads may take everything away."""
    uri = "data:image/png;base64," + base64.b64encode(bytes(3_000_000)).decode()
    value: dict[str, Any] = {}
    items: list[Any] = []
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            value.clear()
            items.clear()
            items.extend([uri + "", {"type": "base64", "media_type": "image/png", "data": uri[22:] + ""}])
            value.update(data=uri[22:] + "", type="base64", media_type="image/png", more=list(items))

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(60):
            client.start_observation(name="o", input=value, output=items).end()
    finally:
        stop.set()
        thread.join()
    assert sent()["o"]["input"]


def test_what_is_wrapped() -> None:
    wrapped = LangfuseMedia(content_bytes=CONTENT, content_type="image/png")
    assert (wrapped._media_id, wrapped._content_length, wrapped._source) == (media_id(CONTENT), 5, "bytes")
    assert wrapped._content_sha256_hash == base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    assert wrapped._reference_string == reference(source="bytes")
    uri = LangfuseMedia(obj=[1], base64_data_uri=f"data:image/png;x=y;base64,{B64}")
    assert (uri._content_bytes, uri._content_type, uri.obj) == (CONTENT, "image/png", [1])
    assert LangfuseMedia.parse_reference_string(reference()) == {
        "media_id": media_id(CONTENT),
        "source": "base64_data_uri",
        "content_type": "image/png",
    }


def test_a_file(tmp_path: Path, client: tracespool.Client, sent: Sent) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(CONTENT)
    for given in (path, str(path)):
        client.start_observation(name="o", input=LangfuseMedia(file_path=given, content_type="image/png")).end()
    assert json.loads(sent()["o"]["input"]) == reference(source="file")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"content_bytes": CONTENT},
        {"content_type": "image/png"},
        {"content_bytes": "text", "content_type": "image/png"},
        {"content_bytes": CONTENT, "content_type": 7},
        {"file_path": "/nowhere", "content_type": "image/png"},
        {"file_path": "a\0b", "content_type": "image/png"},
        {"file_path": "/", "content_type": "image/png"},
        {"base64_data_uri": 7},
        {"base64_data_uri": "nope"},
        {"base64_data_uri": "data:image/png;base64,a"},
        {"base64_data_uri": "data:image/png,plain"},
        {"base64_data_uri": "data:;base64,aGVsbG8="},
    ],
    ids=repr,
)
def test_bad_input_is_a_warning_and_an_empty_media(
    client: tracespool.Client, sent: Sent, caplog: pytest.LogCaptureFixture, options: dict[str, Any]
) -> None:
    with caplog.at_level(logging.WARNING, "tracespool"):
        empty = LangfuseMedia(**options)
    assert len([record for record in caplog.records if "LangfuseMedia" in record.message]) == 1
    assert (empty._content_bytes, empty._content_length, empty._media_id) == (None, None, None)
    assert empty._reference_string is None
    client.start_observation(name="o", input=[empty]).end()
    assert "<Upload handling failed for LangfuseMedia of type None>" in sent()["o"]["input"]


@pytest.mark.parametrize(
    "text", ["", "x", "@@@langfuseMedia:id=x@@@", "@@@langfuseMedia:type=a/b|id=x@@@", "@@@langfuseMedia:type=a|b@@@", 7]
)
def test_what_is_no_reference(text: Any) -> None:
    with pytest.raises(ValueError, match="Reference string|Missing required"):
        LangfuseMedia.parse_reference_string(text)


def test_references_are_resolved(client: tracespool.Client, sent: Sent, caplog: pytest.LogCaptureFixture) -> None:
    class Thing:
        def __init__(self, text: str) -> None:
            self.text = text

    client.start_observation(name="o", input=PNG).end()
    sent()
    missing = reference(content=b"never stored")
    given = {"a": [f"see {reference()} and {reference()}", Thing(reference()), 1], "b": missing, "c": (reference(),)}
    with caplog.at_level(logging.WARNING, "tracespool"):
        resolved = client.resolve_media_references(obj=given, resolve_with="base64_data_uri")
    assert resolved == {"a": [f"see {PNG} and {PNG}", {"text": PNG}, 1], "b": missing, "c": (reference(),)}
    assert given["b"] == missing and isinstance(given["a"][1], Thing)
    assert caplog.text.count("cannot be fetched") == 1 and "404" in caplog.text
    assert client.resolve_media_references(obj=[[reference()]], max_depth=1) == [[reference()]]
    assert (
        LangfuseMedia.resolve_media_references(
            obj=reference(), langfuse_client=client, resolve_with="base64_data_uri", content_fetch_timeout_seconds=5
        )
        == PNG
    )


def stored_reference(client: tracespool.Client) -> LangfuseMediaReference:
    status, body = client._fetch(f"/api/public/media/{media_id(CONTENT)}", 5.0)
    assert status == 200
    told = json.loads(body)
    return LangfuseMediaReference(
        media_id=told["mediaId"],
        content_type=told["contentType"],
        url=told["url"],
        url_expiry=told["urlExpiry"],
        content_length=told["contentLength"],
    )


def test_a_stored_content_is_fetched(client: tracespool.Client, sent: Sent) -> None:
    client.start_observation(name="o", input=PNG).end()
    sent()
    known = stored_reference(client)
    assert (known.content_length, known.is_url_expired()) == (5, False)
    assert known.fetch_bytes() == CONTENT
    assert known.fetch_base64() == B64
    assert known.fetch_data_uri(timeout=5.0) == PNG
    httpx = pytest.importorskip("httpx")
    with httpx.Client() as own:
        assert known.fetch_bytes(client=own) == CONTENT
        gone = LangfuseMediaReference(media_id="m", content_type="a/b", url=known.url.replace("/storage/", "/storage/x"))
        with pytest.raises(httpx.HTTPStatusError):
            gone.fetch_bytes(client=own)
    with pytest.raises(MediaError, match="403"):
        gone.fetch_bytes()


def test_fetching_ends_by_its_deadline(client: tracespool.Client) -> None:
    dead = DeadStore()
    known = LangfuseMediaReference(media_id="m", content_type="a/b", url=f"{dead.url}/x")
    began = time.monotonic()
    with pytest.raises(MediaError):
        known.fetch_bytes(timeout=0.4)
    assert time.monotonic() - began < 0.8
    dead.close()
    with pytest.raises(MediaError):
        LangfuseMediaReference(media_id="m", content_type="a/b", url="nonsense").fetch_bytes(timeout=0.4)


def test_a_client_without_a_server_fetches_what_is_public(
    client: tracespool.Client, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.start_observation(name="o", input=PNG).end()
    sent()
    known = stored_reference(client)
    off = tracespool.Client(tracing_enabled=False)
    with off.use():
        assert known.fetch_bytes() == CONTENT
    assert off.resolve_media_references(obj=reference()) == reference()


def test_expiry_of_addresses() -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    for expiry, expired in [
        (None, False),
        ("nonsense", False),
        ((now + datetime.timedelta(hours=1)).isoformat(), False),
        ((now - datetime.timedelta(hours=1)).isoformat().replace("+00:00", "Z"), True),
        ((now - datetime.timedelta(hours=1)).replace(tzinfo=None).isoformat(), True),
    ]:
        known = LangfuseMediaReference(media_id="m", content_type="a/b", url="u", url_expiry=expiry)
        assert known.is_url_expired() is expired, expiry


def test_the_drop_in_face() -> None:
    import tracespool.langfuse.media as face
    from tracespool import langfuse

    assert langfuse.LangfuseMedia is face.LangfuseMedia is LangfuseMedia
    assert langfuse.LangfuseMediaReference is face.LangfuseMediaReference is LangfuseMediaReference
    with pytest.raises(AttributeError):
        langfuse.Nothing  # noqa: B018
