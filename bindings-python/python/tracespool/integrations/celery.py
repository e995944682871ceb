"""Celery: what workers traced is sent when they end; a task's trace goes on in the worker where asked for.

    from tracespool.integrations.celery import install

    app = Celery(...)
    install(observation=True, continue_trace=True)

In the module that makes the application, which senders and workers import.
"""

from __future__ import annotations

from celery import signals

from tracespool import _lifecycle
from tracespool.headers import inject
from tracespool.integrations import _bounded, request
from tracespool.integrations._warning import failed
from tracespool.integrations.request import Request

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from typing import Any

    from tracespool import Client

__all__ = ["install"]

_HELD = "tracespool_request"
_CORRELATION = "x-correlation-id"
_HEADERS = ("traceparent", "baggage", _CORRELATION)

_installed: _Tasks | None = None


def install(
    *,
    client: Client | None = None,
    observation: bool = False,
    continue_trace: bool = False,
    flush_timeout: float = 0.0,
    goodbye_timeout: float = 3.0,
) -> None:
    """Connects to Celery's signals, once for the process; a later call changes the settings.

    `continue_trace`: a task carries `traceparent`, what was propagated `as_baggage`, and the correlation id; the worker goes
    on with them. Who can write to the broker is then trusted.
    `observation`: each run of a task is one, named after the task, with its id; an error is recorded in it.
    `flush_timeout`: seconds that the end of each task may wait for what was traced, for workers that may be killed any time.
    `goodbye_timeout`: seconds for that when a worker ends.
    `client`: the one that observations go to and that is flushed; default: the current one, and all are flushed.
    """
    global _installed
    if _installed is None:
        _installed = _Tasks()
        _installed.connect()
    tasks = _installed
    tasks.client = client
    tasks.observation = bool(observation)
    tasks.continue_trace = bool(continue_trace)
    tasks.flush_timeout = _bounded.chosen(flush_timeout, 0.0)
    tasks.goodbye_timeout = _bounded.chosen(goodbye_timeout, 3.0, "goodbye_timeout")


class _Tasks:
    """What happens at each signal. Celery logs what a receiver raises and goes on."""

    client: Client | None
    observation: bool
    continue_trace: bool
    flush_timeout: float
    goodbye_timeout: float

    def connect(self) -> None:
        # The worker's own goodbye is this one, with its own bound: the general one does not come on top of it.
        _lifecycle._known.add("celery")
        signals.worker_process_shutdown.disconnect(_lifecycle._celery_goodbye)
        signals.before_task_publish.connect(self.publishing, weak=False)
        signals.task_prerun.connect(self.begin, weak=False)
        signals.task_failure.connect(self.failed, weak=False)
        signals.task_retry.connect(self.failed, weak=False)
        signals.task_postrun.connect(self.end, weak=False)
        signals.worker_process_init.connect(self.worker_begins, weak=False)
        signals.worker_process_shutdown.connect(self.process_ends, weak=False)
        signals.worker_shutdown.connect(self.worker_ends, weak=False)  # pools without processes

    def publishing(self, headers: dict[str, Any] | None = None, **_: Any) -> None:
        """In the sender: the task's message takes the headers along."""
        if not self.continue_trace or not isinstance(headers, dict):
            return
        try:
            inject(headers)
            if (correlation := request.correlation_id()) is not None:
                headers.setdefault(_CORRELATION, correlation)
        except Exception as error:
            failed("a task's headers", error)

    def begin(self, task_id: str = "", task: Any = None, **_: Any) -> None:
        """In the worker, in the thread that runs the task next."""
        context = task.request
        said = {name: value for name in _HEADERS if isinstance(value := context.get(name), str)}
        held = Request()
        held.begin(
            said if self.continue_trace else {},
            continue_trace=self.continue_trace,
            client=self.client,
            name=task.name if self.observation else None,
            metadata={"task_id": task_id, "retries": context.get("retries") or 0},
            correlation=None if self.continue_trace and said.get(_CORRELATION) else task_id,
        )
        setattr(context, _HELD, held)

    def failed(self, sender: Any = None, exception: Any = None, reason: Any = None, **_: Any) -> None:
        held = getattr(sender.request, _HELD, None)
        error = exception if exception is not None else reason
        if held is not None and isinstance(error, BaseException):
            held.error = error

    def end(self, task: Any = None, **_: Any) -> None:
        held = getattr(task.request, _HELD, None)
        if held is None:
            return
        setattr(task.request, _HELD, None)
        held.leave()
        held.close()
        _bounded.flush(self.client, self.flush_timeout)

    def worker_begins(self, **_: Any) -> None:
        """In a forked worker: what the parent had current is the parent's."""
        request.forget()

    def process_ends(self, **_: Any) -> None:
        """In a worker's process, which ends without Python's own exit."""
        _lifecycle.goodbye(self.goodbye_timeout)

    def worker_ends(self, **_: Any) -> None:
        """In the process of the worker itself, which may go on after it."""
        _bounded.flush(None, self.goodbye_timeout)

