"""`LangfuseResourceManager`: what Langfuse's SDK keeps for each public key, as a view on our clients.

It owns nothing: clients are kept by the cache, and there are no threads to hold.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, MutableMapping

from tracespool import _native
from tracespool.langfuse import _fallthrough, _rest
from tracespool.langfuse._client.client import Langfuse, langfuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tracespool.langfuse._client.otel_span import OtelTracer

_CLOSING = 5.0  # seconds, for all clients together


class _Instances(MutableMapping[str, "LangfuseResourceManager"]):
    """The living clients by public key, the latest of each. Taking one out closes it."""

    def __getitem__(self, key: str) -> LangfuseResourceManager:
        for client in reversed(_native.clients()):
            if client.public_key == key:
                return of(langfuse(client))
        raise KeyError(key)

    def __setitem__(self, key: str, value: Any) -> None:
        """Nothing to do: a client is there by being made."""

    def __delitem__(self, key: str) -> None:
        self[key]
        _native.cleanup_client(key, timeout=_CLOSING)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(client.public_key for client in _native.clients()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<clients of {list(self)}>"

    def clear(self) -> None:
        _native.cleanup_all_clients(_CLOSING)


class LangfuseResourceManager:
    """A client as Langfuse's SDK would keep it."""

    _instances = _Instances()
    _lock = threading.RLock()

    client: Langfuse

    def __new__(cls, **options: Any) -> LangfuseResourceManager:
        return of(Langfuse(**options))

    @classmethod
    def reset(cls) -> None:
        """Closes every client, with one flush of at most five seconds."""
        cls._instances.clear()

    @classmethod
    def get_singleton_httpx_client(cls) -> Any:
        """The HTTP client that a program has passed to its only client."""
        clients = _native.clients()
        return getattr(clients[0], "_httpx_client", None) if len(clients) == 1 else None

    @staticmethod
    def get_current_span() -> Any:
        """The current observation as an OpenTelemetry span."""
        from tracespool.langfuse._client.otel_span import OtelSpan

        observation = _native.current_observation()
        return OtelSpan(observation) if observation is not None else None

    @property
    def api(self) -> Any:
        """See `Langfuse.api`."""
        return self.client.api

    @property
    def async_api(self) -> Any:
        """See `Langfuse.async_api`."""
        return self.client.async_api

    @property
    def tracer(self) -> OtelTracer:
        """The client as an OpenTelemetry tracer."""
        return self.client._otel_tracer

    @property
    def public_key(self) -> str:
        """Its public key."""
        return _rest.destination(self.client)[1]

    @property
    def secret_key(self) -> str:
        """Its secret key."""
        return _rest.destination(self.client)[2]

    @property
    def base_url(self) -> str:
        """Where it sends."""
        return _rest.destination(self.client)[0]

    @property
    def environment(self) -> str | None:
        """Its environment."""
        return self.client.environment

    @property
    def release(self) -> str | None:
        """Its release."""
        return self.client.release

    @property
    def timeout(self) -> float:
        """One request's total time in seconds."""
        return self.client._timeout

    @property
    def tracing_enabled(self) -> bool:
        """Whether it records."""
        return self.client.enabled

    @property
    def additional_headers(self) -> dict[str, str]:
        """What the application sends with every request."""
        return _rest.additional_headers(self.client)

    @property
    def httpx_client(self) -> Any:
        """The HTTP client of the REST client."""
        return _rest.http(self.client)

    @property
    def _media_manager(self) -> Any:
        """Uploads a dataset item's media on the calling thread; no consumer is started."""
        from queue import Queue

        module = _fallthrough.load("_task_manager.media_manager")
        return module.MediaManager(
            api_client=self.api, httpx_client=_rest.http(self.client), media_upload_queue=Queue(1), max_retries=3
        )

    def flush(self) -> None:
        """See `Client.flush`."""
        self.client.flush()

    def shutdown(self) -> None:
        """See `Client.shutdown`."""
        self.client.shutdown()


def of(client: Langfuse) -> LangfuseResourceManager:
    """The view on a client."""
    view = object.__new__(LangfuseResourceManager)
    view.client = client
    return view


__getattr__ = _fallthrough.names("_client.resource_manager")
