"""Real instrumentation (OpenInference and OpenLLMetry for OpenAI, OpenTelemetry's own for threads) against a fake OpenAI server: its spans
arrive at the chosen client, in one tree with ours."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from program import PUBLIC_KEY, Program, environment
from receiver import Receiver

# `make test-instrumentations` puts them there.
FOLDER = Path(sys.prefix) / "instrumentations"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the instrumentation is not installed: `make test-instrumentations`"
)

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-fake-2",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Paris"}}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
}


class _OpenAI(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def openai() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _OpenAI)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


SOURCE = """
    import concurrent.futures
    import sys

    import tracespool
    from opentelemetry import trace
    from opentelemetry.instrumentation.threading import ThreadingInstrumentor
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    client = tracespool.Client(tracer_provider=provider)
    other = tracespool.Client(public_key="pk-lf-other", secret_key="sk-other")
    if sys.argv[1] == "openinference":
        from openinference.instrumentation.openai import OpenAIInstrumentor
    else:
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    ThreadingInstrumentor().instrument()

    import openai

    model = openai.OpenAI(api_key="sk-fake", max_retries=0)

    def ask(question):
        answer = model.chat.completions.create(model="gpt-fake", messages=[{"role": "user", "content": question}])
        return answer.choices[0].message.content

    @tracespool.observe(as_type="agent")
    def agent(question):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return [ask(question), pool.submit(ask, "in a thread").result()]

    web = provider.get_tracer("opentelemetry.instrumentation.fastapi")
    with client.use(), tracespool.propagate_attributes(user_id="u1", session_id="s1"):
        with web.start_as_current_span("POST /ask"):
            agent("capital of France?")
        ask("outside")
    print(client.flush(5.0)["complete"], other.flush(5.0)["delivered"])
"""


def observations(receiver: Receiver, key: str) -> list[dict[str, Any]]:
    return json.loads(receiver.get(f"/api/v1/observations?project={key}&limit=100"))["data"]


@pytest.mark.parametrize("kind", ["openinference", "opentelemetry.instrumentation.openai"])
def test_openai(kind: str, openai: str, receiver: Receiver, program: Callable[[str], Program]) -> None:
    environ = environment(
        receiver.url,
        OPENAI_BASE_URL=openai,
        PYTHONPATH=str(FOLDER),
        TRACELOOP_TRACE_CONTENT="true",
    )
    written = program(SOURCE.replace("sys.argv[1]", repr(kind)))
    ended = written.run(environ, timeout=60)
    assert ended.code == 0 and ended.out.split() == ["True", "0"], ended.err
    rows = observations(receiver, PUBLIC_KEY)
    (agent,) = [row for row in rows if row["name"] == "agent"]
    calls = [row for row in rows if row["type"] == "generation"]
    assert len(rows) == 4 and len(calls) == 3, [row["name"] for row in rows]
    assert agent["parent"] is None and agent["is_app_root"] and "Paris" in agent["output"]
    inside = [row for row in calls if row["trace_id"] == agent["trace_id"]]
    (outside,) = [row for row in calls if row["trace_id"] != agent["trace_id"]]
    assert [row["parent"] for row in inside] == [agent["span_id"]] * 2
    assert outside["parent"] is None and outside["is_app_root"]
    for row in calls:
        assert row["model"] == "gpt-fake-2" or row["model"] == "gpt-fake"
        assert "Paris" in row["output"] and row["usage"]["input"] == 11 and row["usage"]["output"] == 3
        assert (row["user"], row["session"]) == ("u1", "s1")
        assert row["scope"]["name"].startswith(kind) and kind in row["scope"]["name"]
    assert observations(receiver, "pk-lf-other") == []
