"""What runs beside a service: memory, resources, health, metrics. Nothing here starts a thread or needs a package.

    from tracespool.ops import Guard, Health, MemoryLog, Monitor, Restartable

Each name is loaded when it is first used; `import tracespool` loads none of them. Described in docs/operations.md.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from tracespool.ops.endpoints import ASGIEndpoints, WSGIEndpoints
    from tracespool.ops.guard import ASGIGuard, Guard, WSGIGuard
    from tracespool.ops.health import Health
    from tracespool.ops.memory import rss_bytes, trim
    from tracespool.ops.metrics import opentelemetry, prometheus
    from tracespool.ops.monitor import Counter, Monitor
    from tracespool.ops.request_memory import ASGIMemory, MemoryLog, WSGIMemory
    from tracespool.ops.restartable import Restartable, Unavailable

_HOMES = {
    "ASGIEndpoints": "endpoints",
    "WSGIEndpoints": "endpoints",
    "ASGIGuard": "guard",
    "Guard": "guard",
    "WSGIGuard": "guard",
    "Health": "health",
    "rss_bytes": "memory",
    "trim": "memory",
    "opentelemetry": "metrics",
    "prometheus": "metrics",
    "Counter": "monitor",
    "Monitor": "monitor",
    "ASGIMemory": "request_memory",
    "MemoryLog": "request_memory",
    "WSGIMemory": "request_memory",
    "Restartable": "restartable",
    "Unavailable": "restartable",
}

__all__ = [
    "ASGIEndpoints",
    "ASGIGuard",
    "ASGIMemory",
    "Counter",
    "Guard",
    "Health",
    "MemoryLog",
    "Monitor",
    "Restartable",
    "Unavailable",
    "WSGIEndpoints",
    "WSGIGuard",
    "WSGIMemory",
    "opentelemetry",
    "prometheus",
    "rss_bytes",
    "trim",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
