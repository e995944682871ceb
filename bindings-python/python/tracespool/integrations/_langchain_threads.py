"""Where interrupted LangGraph threads left off, so that a resumed one goes on in the same trace.

Kept for the process, not for a handler: a server makes a handler for each request, and a thread is resumed by another one.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tracespool import Client, Observation

    Thread = tuple[str, str, str]

# The oldest is forgotten beyond; its thread would go on in a new trace.
_MAX_THREADS = 1024

_left: dict[Thread, dict[str, str]] = {}


def thread_of(client: Client, metadata: Any) -> Thread | None:
    """A graph's thread: of the same destination, since an id says nothing about whose it is."""
    thread = metadata.get("thread_id") if metadata else None
    if thread is None:
        return None
    # Tenants of another backend than Langfuse may be told apart by headers alone.
    place = client.base_url if client.otlp_endpoint is None else f"{client.otlp_endpoint} {hash(tuple(client._headers))}"
    return (client.public_key, place, str(thread))


def resumes(inputs: Any) -> bool:
    """Whether a graph is called to go on after an interrupt."""
    module = sys.modules.get("langgraph.types")
    command = getattr(module, "Command", None)
    return command is not None and isinstance(inputs, command) and getattr(inputs, "resume", None) is not None


def leave(thread: Thread, observation: Observation) -> None:
    """Notes that `thread` was interrupted in `observation`."""
    _left.pop(thread, None)
    _left[thread] = {"trace_id": observation.trace_id, "parent_span_id": observation.id}
    while len(_left) > _MAX_THREADS:
        _left.pop(next(iter(_left)), None)


def take(thread: Thread) -> dict[str, str] | None:
    """Where `thread` goes on; asked for once."""
    return _left.pop(thread, None)


def control_flow(error: BaseException) -> bool:
    """Whether LangGraph raised `error` to steer a graph: an interrupt or a handoff, no failure."""
    bubble = getattr(sys.modules.get("langgraph.errors"), "GraphBubbleUp", None)
    return bubble is not None and isinstance(error, bubble)


def interrupts(error: BaseException) -> bool:
    """Whether the graph waits for somebody to resume it."""
    interrupt = getattr(sys.modules.get("langgraph.errors"), "GraphInterrupt", None)
    return interrupt is not None and isinstance(error, interrupt)
