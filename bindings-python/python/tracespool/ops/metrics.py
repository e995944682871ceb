"""What tracespool and a monitor count, for Prometheus (text format 0.0.4) and for OpenTelemetry.

    prometheus(monitor=monitor)                # the body of /metrics
    opentelemetry(monitor=monitor)             # instruments on the global MeterProvider, where OpenTelemetry is installed

Each process counts for itself: with several workers behind one port, `labels={"pid": str(os.getpid())}` keeps them apart.
"""

from __future__ import annotations

import math
import threading
import time

from tracespool import _native
from tracespool.ops.memory import rss_bytes

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from tracespool.ops.health import Health
    from tracespool.ops.monitor import Monitor
    from tracespool.ops.request_memory import MemoryLog

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_COUNTER, _GAUGE = "counter", "gauge"
_LANES = ("observations", "scores", "media")
_SHARED = 0.5
"""Seconds for which the instruments of one OpenTelemetry collection share one reading."""

_FAMILIES = {
    "items_submitted": (_COUNTER, "", "Items handed to tracespool."),
    "items_delivered": (_COUNTER, "", "Items that a server has confirmed."),
    "items_dropped": (_COUNTER, "", "Items that were dropped, by reason."),
    "items_mask_failed": (_COUNTER, "", "Values that were left out because the mask function raised."),
    "items_pending": (_GAUGE, "", "Items that wait or are under way."),
    "items_unconfirmed": (_GAUGE, "", "Items that were sent and not answered by the deadline."),
    "held_bytes": (_GAUGE, "By", "Bytes that tracing holds."),
    "limit_bytes": (_GAUGE, "By", "Bytes that tracing may hold."),
    "admission": (_GAUGE, "", "The share of new traces that are recorded."),
    "clients": (_GAUGE, "", "Destinations in the cache."),
    "requests": (_COUNTER, "", "Requests sent by the export thread."),
    "retries": (_COUNTER, "", "Requests that repeated an earlier one."),
    "panics": (_COUNTER, "", "Failures of the export thread that it recovered from."),
    "largest_lag_seconds": (_GAUGE, "s", "The longest step of the export thread."),
    "delivery_seconds": (_GAUGE, "s", "Time from the end of an observation to its confirmation, by quantile."),
    "process_resident_memory_bytes": (_GAUGE, "By", "Resident memory of the process."),
    "process_alert_memory_bytes": (_GAUGE, "By", "Resident memory above which /health says alert."),
    "process_threads": (_GAUGE, "", "Threads of the process."),
    "process_open_files": (_GAUGE, "", "Open file descriptors."),
    "process_sockets": (_GAUGE, "", "Open sockets."),
    "process_event_polls": (_GAUGE, "", "Epoll instances: one for each event loop that is not closed."),
    "process_asyncio_tasks": (_GAUGE, "", "Unfinished asyncio tasks."),
    "process_event_loops": (_GAUGE, "", "Event loops that have unfinished asyncio tasks."),
    "process_growing": (_GAUGE, "", "1 for each series that only grew over the monitor's window."),
    "process_counted": (_GAUGE, "", "What the application has registered with the monitor, by name."),
    "http_requests": (_COUNTER, "", "Requests that the memory middleware has measured."),
    "http_requests_concurrent": (_GAUGE, "", "Requests under way."),
    "http_route_retained_bytes": (_GAUGE, "By", "Resident memory that the requests of a route left behind; the first 20."),
}

_OWN_LABELS = frozenset(("lane", "reason", "quantile", "name", "route"))

_Row = tuple[tuple[tuple[str, str], ...], float]


def prometheus(
    *,
    monitor: Monitor | None = None,
    memory: MemoryLog | None = None,
    health: Health | None = None,
    labels: Mapping[str, str] | None = None,
) -> str:
    """All metrics as Prometheus reads them; `labels` are added to each, see `common_labels`. With a monitor, this takes a sample."""
    common = common_labels(labels)
    lines = []
    for family, rows in _read(monitor, memory, health).items():
        kind, _, text = _FAMILIES[family]
        name = f"tracespool_{family}" + ("_total" if kind == _COUNTER else "")
        lines.append(f"# HELP {name} {_escape_help(text)}")
        lines.append(f"# TYPE {name} {kind}")
        for pairs, value in rows:
            lines.append(f"{name}{_labels((*common, *pairs))} {_number(value)}")
    return "\n".join(lines) + "\n"


def common_labels(labels: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Labels as they go into each line: values as text, those that are None or empty left out, as Prometheus reads them.
    ValueError for a name that Prometheus does not take (`[a-zA-Z_][a-zA-Z0-9_]*`, not beginning with `__`) or that a metric
    here has of its own.
    """
    common = []
    for name, value in (labels or {}).items():
        usable = isinstance(name, str) and name.isascii() and name.isidentifier() and not name.startswith("__")
        if not usable or name in _OWN_LABELS:
            why = "is used by the metrics themselves" if usable else "is no label name of Prometheus"
            raise ValueError(f"labels: {name!r} {why}")
        if value is not None and str(value):
            common.append((name, str(value)))
    return tuple(common)


def opentelemetry(
    *,
    monitor: Monitor | None = None,
    memory: MemoryLog | None = None,
    health: Health | None = None,
    meter_provider: Any = None,
) -> bool:
    """Makes observable instruments `tracespool.*`, read when the provider collects; false where the package
    `opentelemetry-api` is not installed. Call it once for a provider.
    """
    try:
        from opentelemetry import metrics
    except ImportError:
        return False
    meter = metrics.get_meter("tracespool", _native.__version__, meter_provider)
    reading = _Reading(monitor, memory, health)

    def callback(family: str) -> Any:
        def read(_: Any) -> Iterator[Any]:
            for pairs, value in reading.now().get(family, ()):
                yield metrics.Observation(value, dict(pairs))

        return read

    for family in _possible(monitor, memory, health):
        kind, unit, text = _FAMILIES[family]
        make = meter.create_observable_counter if kind == _COUNTER else meter.create_observable_gauge
        make(f"tracespool.{family}", [callback(family)], unit=unit or "1", description=text)
    return True


class _Reading:
    """One reading for all instruments of a collection."""

    def __init__(self, monitor: Monitor | None, memory: MemoryLog | None, health: Health | None) -> None:
        self._of = (monitor, memory, health)
        self._lock = threading.Lock()
        self._at = -math.inf
        self._families: dict[str, list[_Row]] = {}

    def now(self) -> dict[str, list[_Row]]:
        now = time.monotonic()
        with self._lock:
            if now - self._at < _SHARED:
                return self._families
        families = _read(*self._of)  # not below the lock: it runs code of the application
        with self._lock:
            self._families, self._at = families, time.monotonic()
        return families


def _possible(monitor: Monitor | None, memory: MemoryLog | None, health: Health | None) -> list[str]:
    def is_there(family: str) -> bool:
        if family.startswith("http_"):
            return memory is not None
        if family == "process_alert_memory_bytes":
            return health is not None
        if family.startswith("process_") and family != "process_resident_memory_bytes":
            return monitor is not None
        return True

    return [family for family in _FAMILIES if is_there(family)]


def _read(monitor: Monitor | None, memory: MemoryLog | None, health: Health | None) -> dict[str, list[_Row]]:
    """The rows of each family that has some."""
    sample = monitor.sample() if monitor is not None else None
    stats = sample["tracing"] if sample is not None else _native.stats()
    rows: dict[str, list[_Row]] = {family: [] for family in _FAMILIES}

    def add(family: str, value: float | None, **labels: str) -> None:
        if value is not None:
            rows[family].append((tuple(labels.items()), value))

    for lane in _LANES:
        counts = stats[lane]
        for what in ("submitted", "delivered", "pending", "unconfirmed", "mask_failed"):
            add(f"items_{what}", counts[what], lane=lane)
        for reason, count in counts["dropped"].items():
            add("items_dropped", count, lane=lane, reason=reason)
    add("held_bytes", stats["bytes"])
    add("limit_bytes", stats["bytes_limit"])
    add("admission", stats["admission"])
    for name in ("clients", "requests", "retries", "panics"):
        add(name, stats[name])
    add("largest_lag_seconds", stats["largest_lag"])
    add("delivery_seconds", stats["delivery_p50"], quantile="0.5")
    add("delivery_seconds", stats["delivery_p99"], quantile="0.99")
    add("process_resident_memory_bytes", sample["rss_bytes"] if sample is not None else rss_bytes())
    if health is not None:
        add("process_alert_memory_bytes", health.alert_rss_mb * 1024 * 1024)
    if sample is not None:
        for name in ("threads", "open_files", "sockets", "event_polls", "asyncio_tasks", "event_loops"):
            add(f"process_{name}", sample.get(name))
        for name in sample["growing"]:
            add("process_growing", 1, name=name)
        for name, value in sample["counters"].items():
            add("process_counted", value, name=name)
    if memory is not None:
        add("http_requests", memory.requests)
        add("http_requests_concurrent", memory.concurrent)
        for row in memory.routes(20):
            add("http_route_retained_bytes", row["retained_mb"] * 1024 * 1024, route=row["route"])
    return {family: found for family, found in rows.items() if found}


def _labels(pairs: tuple[tuple[str, str], ...]) -> str:
    if not pairs:
        return ""
    return "{" + ",".join(f'{name}="{_escape_label(value)}"' for name, value in pairs) + "}"


def _escape_label(text: str) -> str:
    return str(text).replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
