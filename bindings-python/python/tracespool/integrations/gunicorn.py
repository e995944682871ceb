"""Hooks for gunicorn.conf.py:

    from tracespool.integrations.gunicorn import post_fork, worker_exit
"""

from __future__ import annotations

from tracespool import _lifecycle
from tracespool.integrations import request

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from typing import Any

__all__ = ["post_fork", "worker_exit"]

GOODBYE = 3.0
"""Seconds that a worker may take to send what it traced; never more than half of `graceful_timeout`, after which gunicorn
kills it."""


def post_fork(server: Any, worker: Any) -> None:
    """In a new worker: what the arbiter had current is the arbiter's. Connections and the export thread are made anew by the
    fork itself; naming this hook also has tracespool imported before the workers are forked, once for all."""
    request.forget()


def worker_exit(server: Any, worker: Any) -> None:
    """In a worker that ends, also by an error of its application: says goodbye, within the bound. The one at exit, which
    follows where the worker gets that far, has what is left of it."""
    graceful = getattr(getattr(worker, "cfg", None), "graceful_timeout", None)
    _lifecycle.goodbye(min(GOODBYE, graceful / 2) if isinstance(graceful, (int, float)) and graceful > 0 else GOODBYE)
