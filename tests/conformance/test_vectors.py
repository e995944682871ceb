"""Python's observations are, byte for byte, those of Rust, Node and WebAssembly."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from program import PUBLIC_KEY, environment

OTLP = Path(__file__).parent / "otlp"
VECTORS = json.loads((OTLP / "vectors.json").read_text())


@contextlib.contextmanager
def receiving() -> Iterator[tuple[str, dict[str, list[str]]]]:
    """A server, and the bodies that it was sent, by public key."""
    bodies: dict[str, list[str]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            key, _ = base64.b64decode(self.headers["authorization"].removeprefix("Basic ")).decode().split(":")
            bodies.setdefault(key, []).append(body.hex())
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        server.server_close()


def test_the_bytes_are_those_of_the_vectors():
    with receiving() as (url, bodies):
        command = [sys.executable, str(OTLP / "replay.py")]
        settings = environment(url, OTEL_RESOURCE_ATTRIBUTES=VECTORS["resource"])
        ended = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert len(VECTORS["vectors"]) >= 5
    for number, vector in enumerate(VECTORS["vectors"]):
        assert len(vector["otlp"]) > 200
        # What is above it comes later, when it ends.
        assert bodies[f"pk-{number}"][0] == vector["otlp"], vector["name"]


VALUES = json.loads((OTLP / "values.json").read_text())["values"]


def parsed(text: Any) -> Any:
    """A stored field; a text is stored as it is, and so is each top-level value of metadata that is no scalar."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def test_values_are_stored_as_they_were_passed(receiver, program):
    source = f"""
    import json
    import tracespool

    client = tracespool.Client()
    for entry in json.load(open({str(OTLP / "values.json")!r}))["values"]:
        value = entry["value"]
        client.start_observation(name=entry["name"], input=value, output={{"value": value}}, metadata={{"value": value}}).end()
    assert client.flush(5.0)["complete"]
    """
    ended = program(source).run(environment(receiver.url))
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    rows = receiver.observations(PUBLIC_KEY)
    assert len(rows) == len(VALUES)
    for entry in VALUES:
        row, value = rows[entry["name"]], entry["value"]
        found = [parsed(row["input"]), parsed(row["output"]), parsed(parsed(row["metadata"])["value"])]
        assert found == [value, {"value": value}, value], entry["name"]
