"""LLM tracing that costs a request microseconds: one export thread per process, a cache of keyed clients.

    import tracespool

    client = tracespool.Client(public_key="pk-...", secret_key="sk-...")
    with client.start_as_current_observation(name="answer", as_type="generation", input=messages) as generation:
        generation.update(output=reply, usage_details={"input": 10, "output": 5})

Programs written for Langfuse's SDK import from `tracespool.langfuse` instead.
"""

import sys

try:
    from tracespool import _native
except ImportError as error:  # the wheel is of another platform: tracing is off, the application runs
    from tracespool import _absent

    _absent.warn(error)
    sys.modules["tracespool._native"] = _absent
    available = False
else:
    available = True

from tracespool import _lifecycle, _notices
from tracespool._client import Client, aflush_all, flush_all, get_client, in_context
from tracespool._native import (
    Observation,
    __version__,
    admission,
    cleanup_all_clients,
    cleanup_client,
    create_trace_id,
    get_current_observation_id,
    get_current_trace_id,
    on_drop,
    propagate_attributes,
    set_admission,
    stats,
)
from tracespool._observe import observe

_lifecycle.install()

__all__ = [
    "Client",
    "Observation",
    "__version__",
    "admission",
    "aflush_all",
    "available",
    "cleanup_all_clients",
    "cleanup_client",
    "create_trace_id",
    "flush_all",
    "get_client",
    "get_current_observation_id",
    "get_current_trace_id",
    "in_context",
    "observe",
    "on_drop",
    "propagate_attributes",
    "set_admission",
    "stats",
]
