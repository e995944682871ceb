"""The Flask extension, in a real application."""

from __future__ import annotations

import time

import pytest
import tracespool
from flask import Flask, jsonify, stream_with_context
from tracespool import ops
from tracespool.integrations import request
from tracespool.integrations.flask import Tracespool

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "X-Correlation-Id": "c-1"}


def service(client, **settings) -> Flask:
    app = Flask(__name__)
    Tracespool(app, client=client, **settings)

    @app.get("/items/<int:number>")
    def item(number):
        with client.start_as_current_observation(name="work"):
            return jsonify(number=number, correlation=request.correlation_id())

    @app.get("/stream")
    def stream():
        def parts():
            for number in range(3):
                with client.start_as_current_observation(name=f"part {number}"):
                    yield f"{number} {request.correlation_id()}\n"

        return app.response_class(stream_with_context(parts()))

    @app.get("/raises")
    def raises():
        raise RuntimeError("broken")

    @app.get("/breaks")
    def breaks():
        def parts():
            yield "a"
            raise RuntimeError("half way")

        return app.response_class(parts())

    return app


def test_each_request_is_an_observation_and_stored_with_its_answer(client, rows):
    caller = service(client, observation=True, continue_trace=True, flush_timeout=5.0).test_client()
    assert caller.get("/items/7", headers=HEADERS).json == {"number": 7, "correlation": "c-1"}
    found = rows()
    top = found["GET /items/<int:number>"]
    assert (top["trace_id"], top["parent"]) == (TRACE_ID, SPAN_ID)
    assert top["metadata"] == {"method": "GET", "path": "/items/7", "status": 200}
    assert found["work"]["parent"] == top["span_id"]
    assert request.correlation_id() is None and tracespool.get_current_trace_id() is None


def test_without_an_observation_the_callers_trace_goes_on(client, rows):
    caller = service(client, continue_trace=True).test_client()
    assert caller.get("/items/7", headers=HEADERS).status_code == 200
    assert caller.get("/stream", headers=HEADERS).text == "0 c-1\n1 c-1\n2 c-1\n"
    assert caller.get("/items/8").status_code == 200
    assert tracespool.get_current_trace_id() is None and client.flush(5.0)["complete"]
    found = rows()
    assert set(found) == {"work", "part 0", "part 1", "part 2"}
    for number in range(3):
        assert (found[f"part {number}"]["trace_id"], found[f"part {number}"]["parent"]) == (TRACE_ID, SPAN_ID)


def test_a_stream_is_part_of_its_request(client, rows):
    caller = service(client, observation=True, flush_timeout=5.0).test_client()
    assert caller.get("/stream", headers=HEADERS).text == "0 c-1\n1 c-1\n2 c-1\n"
    found = rows()
    assert found["part 2"]["parent"] == found["GET /stream"]["span_id"]
    assert tracespool.get_current_trace_id() is None


def test_a_memory_line_around_it_has_the_same_correlation_id(client, caplog):
    app = service(client)
    app.wsgi_app = ops.WSGIMemory(app.wsgi_app, ops.MemoryLog(one_in=1))
    with caplog.at_level("INFO", "tracespool.ops"):
        said = app.test_client().get("/items/7", buffered=True).json["correlation"]
    assert [vars(record)["correlation_id"] for record in caplog.records] == [said] and len(said) == 32
    assert vars(caplog.records[0])["route"] == "GET /items/<int:number>"


@pytest.mark.parametrize("path, text", [("/raises", "broken"), ("/breaks", "half way")])
def test_an_error_is_recorded(client, rows, path, text):
    caller = service(client, observation=True, flush_timeout=5.0).test_client()
    if path == "/raises":
        assert caller.get(path).status_code == 500
    else:
        with pytest.raises(RuntimeError):
            caller.get(path, buffered=True)
    row = rows()[f"GET {path}"]
    assert row["level"] == "ERROR" and row["status_message"] == f"RuntimeError: {text}"


def test_only_the_end_of_an_answer_waits_for_a_server_that_hangs(client, receiver):
    receiver.fault("hang")
    caller = service(client, flush_timeout=0.5).test_client()
    began = time.monotonic()
    response = caller.get("/stream", buffered=False)
    parts = iter(response.response)
    assert [next(parts) for _ in range(3)] and time.monotonic() - began < 0.2
    assert next(parts, None) is None and 0.3 < time.monotonic() - began < 0.7
    began = time.monotonic()
    assert caller.get("/items/1").status_code == 200
    assert time.monotonic() - began < 0.7


def test_elsewhere_nothing_waits_and_nothing_is_wrapped(client, receiver, monkeypatch):
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)
    receiver.fault("hang")
    began = time.monotonic()
    assert service(client).test_client().get("/items/1").status_code == 200
    assert time.monotonic() - began < 0.2
