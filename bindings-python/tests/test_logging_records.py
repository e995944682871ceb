"""Log records with the ids of what is traced, and as JSON."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import queue
import sys
from logging.handlers import QueueHandler, QueueListener
from typing import Any

import pytest
import tracespool
from tracespool.integrations.asgi import TracespoolMiddleware
from tracespool.integrations.logging import JsonFormatter, TraceFilter


@pytest.fixture
def lines():
    """A logger with a stream of its own, and what was written to it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(TraceFilter())
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("shop")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    logger.written = lambda: [json.loads(line) for line in stream.getvalue().splitlines()]  # type: ignore[attr-defined]
    yield logger
    logger.handlers.clear()


def test_a_record_says_where_it_belongs(client: tracespool.Client, lines: Any) -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        with client.start_as_current_observation(name="work") as observation:
            lines.info("sold %d", 3, extra={"order": 7})
            expected.append((observation.trace_id, observation.id))

    expected: list[tuple[str, str]] = []
    headers = [(b"x-correlation-id", b"c-1")]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    asyncio.run(TracespoolMiddleware(app)(scope, None, None))  # type: ignore[arg-type]
    lines.info("outside")
    inside, outside = lines.written()
    assert (inside["trace_id"], inside["observation_id"]) == expected[0]
    assert (inside["correlation_id"], inside["worker_pid"]) == ("c-1", os.getpid())
    assert (inside["message"], inside["level"], inside["logger"], inside["order"]) == ("sold 3", "INFO", "shop", 7)
    assert inside["timestamp"].endswith("Z") and len(inside["timestamp"]) == 24
    assert not {"trace_id", "observation_id", "correlation_id"} & set(outside)


def test_a_text_format_can_name_the_fields_anywhere(client: tracespool.Client) -> None:
    record = logging.makeLogRecord({"msg": "m"})
    assert TraceFilter().filter(record)
    assert logging.Formatter("[%(trace_id)s] %(message)s").format(record) == "[] m"


def test_ids_are_those_of_the_logging_thread_also_behind_a_queue(client: tracespool.Client) -> None:
    stream, waiting = io.StringIO(), queue.SimpleQueue()  # type: ignore[var-annotated]
    front, back = QueueHandler(waiting), logging.StreamHandler(stream)
    front.addFilter(TraceFilter())
    back.addFilter(TraceFilter())
    back.setFormatter(JsonFormatter())
    listener = QueueListener(waiting, back)
    listener.start()
    with client.start_as_current_observation(name="work") as observation:
        front.handle(logging.makeLogRecord({"msg": "m"}))
    listener.stop()
    assert json.loads(stream.getvalue())["trace_id"] == observation.trace_id


class Awkward:
    def __str__(self) -> str:
        raise RuntimeError("no text")


CYCLE: dict[str, Any] = {}
CYCLE["self"] = CYCLE


AWKWARD = [float("nan"), CYCLE, {(1, 2): 3}, Awkward(), {"deep": Awkward()}, object(), b"\xff", "a\nb", "\ud800", "ü\u2028"]


@pytest.mark.parametrize("value", AWKWARD)
def test_whatever_is_logged_is_one_line_of_json(lines: Any, value: Any) -> None:
    lines.info("m", extra={"value": value, "level": "replaced?"})
    (line,) = lines.written()
    assert line["message"] == "m" and line["level"] == "INFO" and "value" in line


def test_exceptions_and_stacks_are_fields(lines: Any) -> None:
    try:
        raise ValueError("out of stock")
    except ValueError:
        lines.exception("failed", stack_info=True)
    (line,) = lines.written()
    assert line["exception"].endswith("ValueError: out of stock") and "test_logging_records" in line["stack"]


def test_nothing_of_a_framework_is_imported() -> None:
    import subprocess

    code = (
        "import sys, tracespool; base = set(sys.modules);"
        "import tracespool.integrations.asgi, tracespool.integrations.awslambda, tracespool.integrations.logging;"
        "print([m for m in sys.modules if m.split('.')[0] in ('asyncio', 'starlette', 'django', 'flask', 'celery', 'typing')],"
        "      [m for m in base if m.startswith('tracespool.integrations')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "[] []", done
