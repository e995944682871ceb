"""The same service on the langfuse SDK, written as its users write it: a client for the keys of each request.

    uvicorn examples.leaky_langfuse_app.app:app

Nothing here is wrong by the SDK's documentation. Each new key starts four threads and two TLS contexts that
are never given back, and every observation passes through the processors of all keys seen so far.
"""

from __future__ import annotations

from typing import Any

from langfuse import Langfuse, propagate_attributes

from examples.agent.service import service

CLIENTS: dict[str, Langfuse] = {}


def client_of(public_key: str, **settings: Any) -> Langfuse:
    """A client per request; one of each key is remembered, so that all can be flushed at the end."""
    client = Langfuse(public_key=public_key, **settings)
    CLIENTS.setdefault(public_key, client)
    return client


def goodbye() -> None:
    """What the SDK's documentation asks for at the end of a process."""
    for client in CLIENTS.values():
        client.shutdown()


app = service(client_of, propagate_attributes, goodbye)
