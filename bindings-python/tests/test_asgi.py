"""The ASGI middleware, message by message and in front of Starlette and FastAPI."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import tracespool
from fastapi import FastAPI, WebSocket
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.testclient import TestClient
from tracespool.integrations import request
from tracespool.integrations.asgi import TracespoolMiddleware

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


class Wire:
    """A server's side of one connection: what was sent and when, in seconds."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.sent: list[tuple[float, dict[str, Any]]] = []

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append((time.monotonic() - self.began, message))

    def bodies(self) -> list[tuple[bytes, bool]]:
        return [
            (message.get("body", b""), message.get("more_body", False))
            for _, message in self.sent
            if message["type"] == "http.response.body"
        ]


def scope(method: str = "GET", path: str = "/", **headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": pairs}


def start(status: int = 200, **headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}


def body(text: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text, "more_body": more}


def answering(client: tracespool.Client, *messages: dict[str, Any]) -> Any:
    """An application that traces and then sends these."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        with client.start_as_current_observation(name="work"):
            pass
        for message in messages:
            await send(message)

    return app


def run(app: Any, asked: dict[str, Any], wire: Wire) -> float:
    began = time.monotonic()
    asyncio.run(app(asked, wire.receive, wire.send))
    return time.monotonic() - began


@pytest.fixture
def hung(start_collector, key):
    """A client whose server takes requests and never answers."""
    collector = start_collector()
    collector.faults({"fault": "hang"})
    yield tracespool.Client(public_key=key, secret_key="sk-x", base_url=collector.url)
    tracespool.cleanup_client(key, timeout=0.0)


HELD = {
    "whole body": (scope(), [start(), body(b"all")], 1),
    "announced length": (scope(), [start(content_length="6"), body(b"abc", True), body(b"def", True), body(b"")], 2),
    "unannounced stream": (scope(), [start(), body(b"abc", True), body(b"def", True), body(b"")], 3),
    "stream whose last message has a body": (scope(), [start(), body(b"abc", True), body(b"def")], 3),
    "HEAD": (scope("HEAD"), [start(content_length="6"), body(b"")], 0),
    "204": (scope(), [start(204), body(b"")], 0),
    "nothing announced as nothing": (scope(), [start(content_length="0"), body(b"")], 0),
    "trailers": (
        scope(),
        [{**start(), "trailers": True}, body(b"abc"), {"type": "http.response.trailers", "headers": []}],
        2,
    ),
    "a path to send": (scope(), [start(content_length="9"), {"type": "http.response.pathsend", "path": "/x"}], 1),
}


@pytest.mark.parametrize("case", HELD)
def test_only_what_makes_the_answer_whole_waits_and_never_longer_than_it_may(hung, case):
    asked, messages, held = HELD[case]
    wire = Wire()
    run(TracespoolMiddleware(answering(hung, *messages), flush_timeout=0.5), asked, wire)
    times = [when for when, _ in wire.sent]
    assert all(when < 0.2 for when in times[:held]), times
    assert all(0.3 < when < 0.6 for when in times[held:]), times
    assert b"".join(text for text, _ in wire.bodies()) == b"".join(m.get("body", b"") for m in messages)
    assert not wire.bodies() or wire.bodies()[-1][1] is False


@pytest.mark.parametrize("case", HELD)
def test_what_was_traced_is_stored_before_the_answer_is_whole(client, collector, key, case):
    asked, messages, held = HELD[case]
    wire = Wire()
    stored = []

    async def send(message: dict[str, Any]) -> None:
        if len(wire.sent) == held:
            stored.append(collector.counts(key)["observations"])
        await wire.send(message)

    app = TracespoolMiddleware(answering(client, *messages), flush_timeout=5.0, observation=True)
    asyncio.run(app(asked, wire.receive, send))
    assert stored == [2], "the application's observation and the request's"


def test_elsewhere_than_on_lambda_nothing_waits(hung, monkeypatch):
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)
    assert run(TracespoolMiddleware(answering(hung, start(), body(b"all"))), scope(), Wire()) < 0.2


def test_on_lambda_it_waits_by_itself_unless_switched_off(hung, monkeypatch):
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")
    app = answering(hung, start(), body(b"all"))
    assert 0.3 < run(TracespoolMiddleware(app), scope(), Wire()) < 0.7
    assert run(TracespoolMiddleware(app, flush_timeout=0), scope(), Wire()) < 0.2


def test_an_application_that_raises_has_its_error_recorded_and_sent(client, collector, key):
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise ValueError("out of stock")

    with pytest.raises(ValueError, match="out of stock"):
        run(TracespoolMiddleware(app, observation=True, flush_timeout=5.0), scope(path="/buy"), Wire())
    row = collector.observations(key)["GET /buy"]
    assert row["level"] == "ERROR" and "out of stock" in row["status_message"]
    assert tracespool.get_current_observation_id() is None


def test_an_application_whose_client_is_gone_may_leave_without_a_last_word(client, collector, key):
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"abc", True))
        assert (await receive())["type"] == "http.disconnect"

    run(TracespoolMiddleware(app, observation=True, flush_timeout=5.0), scope(path="/gone"), Wire())
    assert collector.observations(key)["GET /gone"]["metadata"]["status"] == 200


def test_a_cancelled_request_ends_at_once(hung):
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        with hung.start_as_current_observation(name="slow"):
            await asyncio.sleep(60)

    async def main() -> float:
        wire = Wire()
        traced = TracespoolMiddleware(app, client=hung, observation=True, flush_timeout=5.0)
        task = asyncio.create_task(traced(scope(), wire.receive, wire.send))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - began

    assert asyncio.run(main()) < 0.3


def test_a_trace_is_continued_only_when_asked(client, sent):
    headers = {"traceparent": TRACEPARENT, "baggage": "langfuse_user_id=u-1"}
    found: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        found.append(request.trace_context())
        await send(start())
        await send(body(b"x"))

    run(TracespoolMiddleware(app, observation=True), scope(path="/no", **headers), Wire())
    run(TracespoolMiddleware(app, observation=True, continue_trace=True), scope(path="/yes", **headers), Wire())
    rows = sent()
    assert rows["GET /no"]["trace_id"] != TRACE_ID
    assert (rows["GET /yes"]["trace_id"], rows["GET /yes"]["parent"]) == (TRACE_ID, SPAN_ID)
    assert found == [None, {"trace_id": TRACE_ID, "parent_span_id": SPAN_ID}]
    assert (rows["GET /no"]["user"], rows["GET /yes"]["user"]) == (None, "u-1")
    assert request.trace_context() is None and request.correlation_id() is None


@pytest.mark.parametrize("came, kept", [("abc-7", True), ("a\x1b[31mb", False), ("x" * 500, False), ("", False)])
def test_the_correlation_id_is_the_senders_where_it_can_be_logged(came, kept):
    seen = []

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(request.correlation_id())

    run(TracespoolMiddleware(app), scope(x_request_id=came), Wire())
    (found,) = seen
    assert (found == came) if kept else (found != came and len(found) == 32)


@pytest.fixture
def service(client, tmp_path):
    """A FastAPI application behind the middleware."""
    file = tmp_path / "file.bin"
    file.write_bytes(b"x" * 200_000)
    app = FastAPI()
    app.add_middleware(TracespoolMiddleware, client=client, observation=True, flush_timeout=5.0)

    @app.get("/items/{number}")
    async def item(number: int) -> dict[str, Any]:
        return {"number": number, "below": tracespool.get_current_observation_id() is not None}

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> Any:
            for number in range(3):
                with client.start_as_current_observation(name=f"part {number}"):
                    yield f"{number}\n"

        return StreamingResponse(parts())

    @app.get("/file")
    async def sends_file() -> FileResponse:
        return FileResponse(file)

    @app.get("/raises")
    async def raises() -> None:
        raise RuntimeError("broken")

    @app.websocket("/talk")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(f"{request.correlation_id()} {await socket.receive_text()}")
        await socket.close()

    return app


def test_fastapi_as_a_whole(service, client, collector, key):
    with TestClient(service, raise_server_exceptions=False) as caller:  # lifespan too
        assert caller.get("/items/7").json() == {"number": 7, "below": True}
        assert collector.counts(key)["observations"] == 1, "stored when the answer has come"
        assert caller.get("/stream").text == "0\n1\n2\n"
        assert len(caller.get("/file").content) == 200_000
        assert caller.head("/items/7").status_code == 405
        assert caller.get("/raises").status_code == 500
        with caller.websocket_connect("/talk", headers={"x-correlation-id": "c-9"}) as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "c-9 hello"
    rows = collector.observations(key)
    assert {"GET /items/{number}", "GET /stream", "part 0", "GET /file", "GET /raises", "WEBSOCKET /talk"} <= set(rows)
    assert rows["part 1"]["parent"] == rows["GET /stream"]["span_id"]
    assert rows["GET /raises"]["level"] == "ERROR"
    assert rows["GET /items/{number}"]["metadata"] == {"method": "GET", "path": "/items/7", "status": 200}


def test_what_is_pending_is_sent_when_the_server_says_that_it_stops(client, collector, key):
    app = FastAPI()
    app.add_middleware(TracespoolMiddleware, client=client)
    with TestClient(app):
        client.start_observation(name="late").end()
    assert collector.counts(key)["observations"] == 1


def test_a_bad_timeout_is_one_warning_and_the_default(caplog, monkeypatch):
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)
    assert TracespoolMiddleware(None, flush_timeout="soon").flush_timeout == 0.0  # type: ignore[arg-type]
    assert "flush_timeout: 'soon'" in caplog.text


def test_what_waits_for_a_mask_of_spans_is_sent_too(collector, key):
    """`aflush_all` waits for it, as the client's own `aflush` does."""

    def mask(*, params: Any) -> None:
        time.sleep(0.05)

    masked = tracespool.Client(public_key=key, secret_key="sk-x", base_url=collector.url, mask_otel_spans=mask)
    wire = Wire()
    run(TracespoolMiddleware(answering(masked, start(), body(b"x")), flush_timeout=5.0), scope(), wire)
    assert collector.counts(key)["observations"] == 1
    tracespool.cleanup_client(key, timeout=0.0)


def test_one_name_of_a_header_is_not_taken_for_many(client):
    seen = []

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(request.correlation_id())

    run(TracespoolMiddleware(app, correlation_headers="X-Amzn-Trace-Id"), scope(x_amzn_trace_id="Root=1-5e"), Wire())
    assert seen == ["Root=1-5e"]
