"""A small OpenAI server: the wire of the chat, completions, responses and embeddings APIs, JSON and SSE.

The model's name says how it behaves: `fails` answers 429, `breaks` streams an error, `hangs` stops in the middle of a stream
until it is closed, `calls` asks for a tool, everything else answers.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = "Forty-two, says the fake model: é."
PIECES = ["Forty-", "two, ", "says the ", "fake model", ": é."]
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": None},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
RESPONSE_USAGE = {
    "input_tokens": 11,
    "output_tokens": 7,
    "total_tokens": 18,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens_details": {"reasoning_tokens": 2},
}
TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}


class OpenAIServer:
    """The server on a port of its own; what it was asked is in `requests`."""

    def __init__(self) -> None:
        outer = self
        self.requests: list[dict[str, Any]] = []
        self.closed = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                return

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.requests.append({"path": self.path, "body": body, "headers": dict(self.headers)})
                model = body.get("model", "")
                if model == "fails":
                    error = {"error": {"message": "slow down", "type": "rate_limit", "code": "rate_limit_exceeded"}}
                    return self._json(error, status=429)
                if body.get("stream"):
                    return self._stream(events(self.path, body), model)
                self._json(whole(self.path, body))

            def _json(self, value: Any, status: int = 200) -> None:
                text = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.send_header("x-request-id", "req_1")
                self.end_headers()
                self.wfile.write(text)

            def _stream(self, said: Iterator[tuple[str | None, Any]], model: str) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                try:
                    for count, (event, value) in enumerate(said):
                        if model == "breaks" and count == 3:
                            value, event = {"error": {"message": "it broke", "type": "server_error"}}, "error"
                        if model == "hangs" and count == 3:
                            while not outer.closed.wait(0.05):
                                self._chunk(": still here\n\n")
                            return
                        head = f"event: {event}\n" if event else ""
                        self._chunk(f"{head}data: {json.dumps(value)}\n\n")
                        time.sleep(0.002)
                        if event == "error":
                            break
                    if self.path.endswith("completions"):
                        self._chunk("data: [DONE]\n\n")
                    self.wfile.write(b"0\r\n\r\n")
                except (BrokenPipeError, ConnectionResetError):
                    return

            def _chunk(self, text: str) -> None:
                data = text.encode()
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                self.wfile.flush()

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                return  # a client that leaves a stream resets the connection

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Lets hanging streams go and stops."""
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()


def whole(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """An answer in one piece."""
    model = f"{body['model']}-2026-01-01"
    if path.endswith("/embeddings"):
        data = [{"object": "embedding", "index": at, "embedding": [0.1, 0.2, 0.3]} for at in range(2)]
        return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": 5, "total_tokens": 5}}
    if path.endswith("/responses"):
        return response(body, model, ANSWER)
    if path.endswith("/chat/completions"):
        text = '{"number": 42}' if body.get("response_format") else ANSWER
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        reason = "stop"
        if body["model"] == "calls":
            message, reason = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}, "tool_calls"
        choices = [
            {"index": at, "message": message, "finish_reason": reason, "logprobs": None} for at in range(body.get("n") or 1)
        ]
        return _completion("chat.completion", model, choices, USAGE)
    return _completion("text_completion", model, [{"index": 0, "text": ANSWER, "finish_reason": "stop"}], USAGE)


def response(body: dict[str, Any], model: str, text: str, status: str = "completed") -> dict[str, Any]:
    """An answer of the responses API."""
    if body.get("text"):
        text = '{"number": 42}'
    content = [{"type": "output_text", "text": text, "annotations": []}]
    item = {"type": "message", "id": "msg_1", "status": status, "role": "assistant", "content": content}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "status": status,
        "model": model,
        "output": [item] if text else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "temperature": 1.0,
        "top_p": 1.0,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "metadata": {},
        "service_tier": "default",
        "usage": RESPONSE_USAGE if text else None,
    }


def _completion(kind: str, model: str, choices: list[Any], usage: Any) -> dict[str, Any]:
    said = {"id": "cmpl-1", "object": kind, "created": 1700000000, "model": model, "choices": choices}
    tier = {"service_tier": "default"} if kind.startswith("chat") else {}
    return {**said, **tier, **({"usage": usage} if usage else {})}


def events(path: str, body: dict[str, Any]) -> Iterator[tuple[str | None, Any]]:
    """A streamed answer: names of events and what they carry."""
    model = f"{body['model']}-2026-01-01"
    if path.endswith("/responses"):
        yield from _response_events(body, model)
        return
    chat = path.endswith("/chat/completions")
    kind = "chat.completion.chunk" if chat else "text_completion"
    for delta, reason in _deltas(body["model"]) if chat else [(piece, None) for piece in PIECES]:
        choice = {"index": 0, "finish_reason": reason, **({"delta": delta} if chat else {"text": delta})}
        yield None, _completion(kind, model, [choice], None)
    if (body.get("stream_options") or {}).get("include_usage"):
        yield None, _completion(kind, model, [], USAGE)


def _deltas(model: str) -> Iterator[tuple[dict[str, Any], str | None]]:
    yield {"role": "assistant", "content": ""}, None
    if model == "calls":
        first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
        yield {"tool_calls": [first]}, None
        for piece in ('{"city"', ': "Oslo"}'):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}, None
        yield {}, "tool_calls"
        return
    for piece in PIECES:
        yield {"content": piece}, None
    yield {}, "stop"


def _response_events(body: dict[str, Any], model: str) -> Iterator[tuple[str | None, Any]]:
    numbered = iter(range(1000))

    def event(kind: str, **more: Any) -> tuple[str, Any]:
        return kind, {"type": kind, "sequence_number": next(numbered), **more}

    yield event("response.created", response=response(body, model, "", "in_progress"))
    item = {"type": "message", "id": "msg_1", "status": "in_progress", "role": "assistant", "content": []}
    yield event("response.output_item.added", output_index=0, item=item)
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    yield event("response.content_part.added", part=part, **place)
    for piece in PIECES:
        yield event("response.output_text.delta", delta=piece, logprobs=[], **place)
    yield event("response.output_text.done", text=ANSWER, logprobs=[], **place)
    yield event("response.completed", response=response(body, model, ANSWER))
