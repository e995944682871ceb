"""One way to make a client of either library, so that the rest of a bench is the same code for both."""

from __future__ import annotations

from typing import Any

LIBRARIES = ("tracespool", "langfuse")


def client_type(library: str) -> Any:
    """The class whose instances trace."""
    if library == "tracespool":
        from tracespool import Client

        return Client
    from langfuse import Langfuse

    return Langfuse


def flush(library: str, client: Any) -> None:
    """Waits until everything is delivered; with tracespool it is an error when something is not."""
    if library == "langfuse":
        client.flush()
        return
    report = client.flush(timeout=30.0)
    if report["pending"] or report["unconfirmed"] or report["dropped"]:
        raise SystemExit(f"not delivered: {report}")


def trace(client: Any, call: list[dict[str, Any]]) -> None:
    """Three nested observations."""
    agent, search, write = call
    with client.start_as_current_observation(name="agent", as_type="agent", input=agent["input"]) as outer:
        with client.start_as_current_observation(name="search", as_type="retriever", input=search["input"]) as step:
            step.update(output=search["output"], metadata=search["metadata"])
            with client.start_as_current_observation(
                name="write", as_type="generation", model="bench-model-1", input=write["input"]
            ) as generation:
                generation.update(output=write["output"], metadata=write["metadata"], usage_details={"input": 210, "output": 90})
        outer.update(output=agent["output"], metadata=agent["metadata"])
