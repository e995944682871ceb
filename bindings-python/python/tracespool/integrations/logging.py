"""Log records that say which trace, observation, request and worker they belong to.

    handler.addFilter(TraceFilter())
    handler.setFormatter(JsonFormatter())    # or any other: "%(trace_id)s %(correlation_id)s %(message)s"
"""

from __future__ import annotations

import json
import logging
import os
import time

from tracespool import _native
from tracespool.integrations.request import correlation_id

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from typing import Any

__all__ = ["JsonFormatter", "TraceFilter"]

_IDS = ("trace_id", "observation_id", "correlation_id")
_KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "worker_pid", *_IDS}
"""What is no `extra` of the application."""


class TraceFilter(logging.Filter):
    """Lets every record pass and adds `trace_id`, `observation_id`, `correlation_id` and `worker_pid` to it; `""` where there
    is none. On a handler it sees the records of all loggers. Where records cross a thread (QueueHandler) it belongs before
    the queue. A record that has these fields already, from a filter before the queue, keeps them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Adds the fields. Always true."""
        if not hasattr(record, "worker_pid"):
            record.trace_id = _native.get_current_trace_id() or ""
            record.observation_id = _native.get_current_observation_id() or ""
            record.correlation_id = correlation_id() or ""
            record.worker_pid = os.getpid()
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object in one line: `timestamp` (UTC, RFC 3339), `level`, `logger`, `message`, what `TraceFilter` added,
    `exception` and `stack` where there are some, and each `extra`. What JSON has no word for becomes text. An `extra` of one
    of these names does not replace it. All in ASCII, so that any stream takes it.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "timestamp": f"{second}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in _IDS:
            if value := getattr(record, name, ""):
                line[name] = value
        line["worker_pid"] = getattr(record, "worker_pid", record.process)
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        for name, value in vars(record).items():
            if name not in _KNOWN:
                line.setdefault(name, value)
        try:
            return json.dumps(line, default=_text, allow_nan=False)
        except Exception:  # NaN, a cycle, a key that is no text
            return json.dumps({name: _plain(value) for name, value in line.items()})


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, bool, int)) else _text(value)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"
