"""`/health`: whether the process is well, its memory, and what tracing has pending.

    health = Health(alert_rss_mb=500)
    health.report()   # {"status": "ok", "memory": {"rss_mb": 84.1, "alert_rss_mb": 500, "alert": False}, ...}

`ASGIEndpoints` and `WSGIEndpoints` serve it.
"""

from __future__ import annotations

import logging
import os
import threading

from tracespool import _native
from tracespool.ops.memory import MB, rss_bytes

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from typing import Any

    from tracespool.ops.guard import Guard
    from tracespool.ops.monitor import Monitor

_log = logging.getLogger("tracespool.ops")

_MARGIN_MB = 10.0


class Health:
    """Reports, and logs once when the RSS goes above `alert_rss_mb` (WARNING) and once when it is back (INFO).

    Back means `margin_mb` below the limit, so that memory that wavers around it is no line at every probe. `fail_on_alert`
    answers 503 instead of 200 while above: only where the orchestrator shall restart the process for it.
    """

    def __init__(
        self,
        *,
        alert_rss_mb: float = 500.0,
        margin_mb: float = _MARGIN_MB,
        fail_on_alert: bool = False,
        monitor: Monitor | None = None,
        guard: Guard | None = None,
    ) -> None:
        self.alert_rss_mb = alert_rss_mb
        self.margin_mb = margin_mb
        self.fail_on_alert = fail_on_alert
        self.monitor = monitor
        self.guard = guard
        self.alert = False
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def check(self) -> float:
        """The RSS in MB; logs where it has crossed the limit."""
        rss = rss_bytes() / MB
        if self._pid != os.getpid():
            self._lock, self._pid = threading.Lock(), os.getpid()
        with self._lock:
            before = self.alert
            self.alert = rss > self.alert_rss_mb - (self.margin_mb if before else 0.0)
            crossed = self.alert != before
        if crossed and self.alert:
            _log.warning("rss is above %g MB: %.1f MB (pid %d)", self.alert_rss_mb, rss, os.getpid())
        elif crossed:
            _log.info("rss is below %g MB again: %.1f MB (pid %d)", self.alert_rss_mb, rss, os.getpid())
        return rss

    def report(self) -> dict[str, Any]:
        """`status` (`ok`, `alert`), `pid`, `memory`, `tracing`; `growing` and `guard` where there are a monitor and a guard."""
        rss = self.check()
        stats = _native.stats()
        observations = stats["observations"]
        report: dict[str, Any] = {
            "status": "alert" if self.alert else "ok",
            "pid": os.getpid(),
            "memory": {"rss_mb": round(rss, 1), "alert_rss_mb": self.alert_rss_mb, "alert": self.alert},
            "tracing": {
                "bytes": stats["bytes"],
                "bytes_limit": stats["bytes_limit"],
                "admission": stats["admission"],
                "clients": stats["clients"],
                "pending": observations["pending"],
                "dropped": sum(observations["dropped"].values()),
            },
        }
        if self.monitor is not None:
            report["growing"] = self.monitor.tick()["growing"]
        if self.guard is not None:
            report["guard"] = self.guard.state
        return report

    def status_code(self) -> int:
        """Of the answer that carries the latest report."""
        return 503 if self.alert and self.fail_on_alert else 200
