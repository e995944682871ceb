"""The Django middleware, under Django's own WSGI and ASGI handlers."""

from __future__ import annotations

import asyncio
import io
import json
import time

import django
import pytest
import tracespool
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, JsonResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from tracespool import ops
from tracespool.integrations import request as current

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "X-Correlation-Id": "c-1"}


def _work() -> None:
    with tracespool.get_client().start_as_current_observation(name="work"):
        pass


def item(request, number):
    _work()
    return JsonResponse({"number": number, "correlation": current.correlation_id()})


async def aitem(request, number):
    _work()
    return JsonResponse({"number": number, "correlation": current.correlation_id()})


def stream(request):
    def parts():
        for _ in range(3):
            _work()
            yield f"{current.correlation_id()}\n"

    return StreamingHttpResponse(parts())


async def astream(request):
    async def parts():
        for _ in range(3):
            _work()
            yield f"{current.correlation_id()}\n"

    return StreamingHttpResponse(parts())


def file(request):
    _work()
    return FileResponse(open(__file__, "rb"))


def raises(request):
    raise RuntimeError("broken")


async def araises(request):
    raise RuntimeError("broken")


urlpatterns = [
    path("items/<int:number>", item),
    path("aitems/<int:number>", aitem),
    path("stream", stream),
    path("astream", astream),
    path("file", file),
    path("raises", raises),
    path("araises", araises),
]

if not settings.configured:
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="not one",
        MIDDLEWARE=[
            "tracespool.integrations.django.TracespoolMiddleware",
            "django.middleware.common.CommonMiddleware",
        ],
    )
    django.setup()


def traced(client, **more):
    return override_settings(TRACESPOOL={"client": client, "observation": True, "flush_timeout": 5.0} | more)


def get(place: str) -> tuple[int, bytes]:
    """By the handler that fits: `/a...` is asynchronous."""
    if not place.startswith("/a"):
        response = Client(raise_request_exception=False).get(place, headers=HEADERS)
        return response.status_code, b"".join(response.streaming_content) if response.streaming else response.content

    async def main() -> tuple[int, bytes]:
        response = await AsyncClient(raise_request_exception=False).get(place, headers=HEADERS)
        if not response.streaming:
            return response.status_code, response.content
        return response.status_code, b"".join([part async for part in response.streaming_content])

    return asyncio.run(main())


@pytest.mark.parametrize("kind", ["items", "aitems"])
def test_each_request_is_an_observation_and_stored_with_its_answer(client, rows, kind):
    with traced(client, continue_trace=True):
        assert get(f"/{kind}/7") == (200, b'{"number": 7, "correlation": "c-1"}')
    found = rows()
    top = found[f"GET /{kind}/<int:number>"]
    assert (top["trace_id"], top["parent"]) == (TRACE_ID, SPAN_ID)
    assert top["metadata"] == {"method": "GET", "path": f"/{kind}/7", "status": 200}
    assert found["work"]["parent"] == top["span_id"]
    assert current.correlation_id() is None and tracespool.get_current_trace_id() is None


@pytest.mark.parametrize("place", ["/items/7", "/aitems/7", "/stream", "/astream"])
def test_without_an_observation_the_callers_trace_goes_on(client, rows, place):
    with traced(client, continue_trace=True, observation=False):
        assert get(place)[0] == 200
    found = rows()
    assert set(found) == {"work"} and (found["work"]["trace_id"], found["work"]["parent"]) == (TRACE_ID, SPAN_ID)
    assert tracespool.get_current_trace_id() is None


@pytest.mark.parametrize("kind", ["stream", "astream", "file"])
def test_a_stream_is_part_of_its_request(client, rows, kind):
    with traced(client):
        status, body = get(f"/{kind}")
    assert status == 200 and (kind == "file" or body == b"c-1\n" * 3)
    found = rows()
    assert found["work"]["parent"] == found[f"GET /{kind}"]["span_id"]
    assert tracespool.get_current_trace_id() is None


@pytest.mark.parametrize("kind", ["raises", "araises"])
def test_an_error_is_recorded(client, rows, kind):
    with traced(client):
        assert get(f"/{kind}")[0] == 500
    row = rows()[f"GET /{kind}"]
    assert row["level"] == "ERROR" and row["status_message"] == "RuntimeError: broken"


@pytest.mark.parametrize("place", ["/items/1", "/aitems/1", "/stream", "/astream", "/raises"])
def test_a_server_that_hangs_holds_an_answer_up_for_the_timeout_at_most(client, receiver, place):
    receiver.fault("hang")
    with traced(client, flush_timeout=0):
        get(place)  # what Django loads at the first request is not what is measured
    with traced(client, flush_timeout=0.5):
        began = time.monotonic()
        get(place)
    assert 0.3 < time.monotonic() - began < 0.8


def test_a_memory_line_around_it_has_the_same_correlation_id(client, caplog):
    memory = ops.MemoryLog(one_in=1)
    sent, waiting = [], [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        return waiting.pop() if waiting else await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/aitems/7", "query_string": b"", "headers": []}
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/items/7", "SERVER_NAME": "x", "SERVER_PORT": "80", "wsgi.input": io.BytesIO()}
    with override_settings(TRACESPOOL={"client": client}), caplog.at_level("INFO", "tracespool.ops"):
        asyncio.run(ops.ASGIMemory(get_asgi_application(), memory)(scope, receive, send))
        body = ops.WSGIMemory(get_wsgi_application(), memory)(environ, lambda *_: None)
        said = [json.loads(sent[1]["body"])["correlation"], json.loads(b"".join(body))["correlation"]]
        body.close()
    assert [vars(record)["correlation_id"] for record in caplog.records if hasattr(record, "delta_mb")] == said
    assert all(len(correlation) == 32 for correlation in said)


def test_settings_that_do_not_exist_are_one_warning(client, caplog):
    with override_settings(TRACESPOOL={"observations": True}):
        assert get("/items/1")[0] == 200
    assert "settings.TRACESPOOL is ignored" in caplog.text and "observations" in caplog.text
