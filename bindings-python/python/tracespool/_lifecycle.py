"""Exit and fork: hooks that are registered once, at import.

At exit all clients share one deadline. `TRACESPOOL_ATEXIT=0` leaves that to the application, which then calls
`client.shutdown()` or `flush_all()` itself. A forked child starts with an empty pipeline and its own connections.
"""

import atexit
import os
import sys

from tracespool import _native


class _Marker:
    """`multiprocessing` keeps its hooks by weak reference to an object."""

    __slots__ = ("__weakref__",)


_marker = _Marker()
_known: set[str] = set()


def install() -> None:
    """Registers the hooks of this process."""
    if os.environ.get("TRACESPOOL_ATEXIT") != "0":
        atexit.register(goodbye)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork,
            after_in_parent=_native.after_fork_parent,
            after_in_child=_native.after_fork_child,
        )
    if os.environ.get("TRACESPOOL_SIGTERM", "").lower() in ("1", "true"):
        _say_goodbye_on_sigterm()
    _watch_workers()
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        _in_worker()


def goodbye(seconds: float = 3.0) -> None:
    """Says goodbye in a process that is about to end. It has one deadline: a later one has what is left of the first. What masks
    and exporters of clients still have goes first, for half of the time.
    """
    stages = sys.modules.get("tracespool._stage")
    if stages is not None:
        stages.drain_all(_native.announce_goodbye(seconds) / 2, last=True)
    _native.goodbye(seconds)


def _say_goodbye_on_sigterm() -> None:
    """Opt-in: SIGTERM says goodbye first and then does what it did before."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        return  # Python allows signal handlers in the main thread only
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_IGN or before is None:
        return

    def on_sigterm(number: int, frame: object) -> None:
        goodbye()
        if callable(before):
            before(number, frame)  # type: ignore[arg-type]
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, on_sigterm)


def _before_fork() -> None:
    _watch_workers()
    _native.before_fork()


def _watch_workers() -> None:
    """Worker processes end by `os._exit`, which skips `atexit`: their own machinery says goodbye instead."""
    if os.environ.get("TRACESPOOL_ATEXIT") == "0":
        return
    util = sys.modules.get("multiprocessing.util")
    if util is not None and "multiprocessing" not in _known and hasattr(util, "register_after_fork"):
        _known.add("multiprocessing")
        util.register_after_fork(_marker, _in_worker)
    celery = sys.modules.get("celery.signals")
    if celery is not None and "celery" not in _known and hasattr(celery, "worker_process_shutdown"):
        _known.add("celery")
        celery.worker_process_shutdown.connect(_celery_goodbye, weak=False)


def _in_worker(_: object = None) -> None:
    util = sys.modules.get("multiprocessing.util")
    if util is not None and os.environ.get("TRACESPOOL_ATEXIT") != "0":
        # A high priority would run it before the application's own finalizers, which may still trace.
        util.Finalize(None, goodbye, exitpriority=-100)


def _celery_goodbye(**_: object) -> None:
    goodbye()
