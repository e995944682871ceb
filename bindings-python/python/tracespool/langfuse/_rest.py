"""The REST clients of the installed langfuse package, for one of our clients. They start no thread."""

from __future__ import annotations

import os
from base64 import b64decode
from http.cookiejar import DefaultCookiePolicy

from tracespool.langfuse import _fallthrough

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tracespool.langfuse._client.client import Langfuse

_CLOUD = "https://cloud.langfuse.com"
# The process, and the httpx client that all REST clients in it share: each would cost two TLS contexts. A forked child
# makes its own, since connections are not to be shared.
_shared: tuple[int, Any] = (0, None)
# Headers that the REST client sets itself.
_OWN = ("authorization", "content-type", "user-agent", "accept")


def destination(client: Langfuse) -> tuple[str, str, str]:
    """Base URL, public key and secret key; empty where unknown. Also of a client whose tracing is switched off."""
    for name, value in client._headers:
        if name == "authorization" and client.otlp_endpoint is None:
            try:
                public_key, _, secret_key = b64decode(value.split()[-1]).decode().partition(":")
            except ValueError:  # the application's own, for a proxy: nobody else's keys stand in
                return client.base_url, client.public_key, ""
            return client.base_url, public_key, secret_key
    asked = client._asked or {}
    environ = os.environ
    return (
        asked.get("base_url") or environ.get("LANGFUSE_BASE_URL") or asked.get("host") or environ.get("LANGFUSE_HOST") or _CLOUD,
        asked.get("public_key") or environ.get("LANGFUSE_PUBLIC_KEY") or "",
        asked.get("secret_key") or environ.get("LANGFUSE_SECRET_KEY") or "",
    )


def additional_headers(client: Langfuse) -> dict[str, str]:
    """What the application wants to be sent with every request. What another backend asks for is sent to that one alone."""
    if client.otlp_endpoint is not None:
        return {}
    sent = {name: value for name, value in client._headers if not name.startswith("x-langfuse-") and name not in _OWN}
    return sent or dict((client._asked or {}).get("additional_headers") or {})


def client(of: Langfuse) -> Any:
    """`LangfuseAPI`."""
    settings = _settings(of)
    return _class("LangfuseAPI", "FernLangfuse")(httpx_client=http(of), **settings)


def async_client(of: Langfuse) -> Any:
    """`AsyncLangfuseAPI`."""
    settings = _settings(of)
    return _class("AsyncLangfuseAPI", "AsyncFernLangfuse")(**settings)


def _class(name: str, before: str) -> Any:
    """A class of the REST client by its name, and by that in langfuse 3."""
    module = _fallthrough.load("api.client")
    return getattr(module, name, None) or getattr(module, before)


def _settings(of: Langfuse) -> dict[str, Any]:
    if of.otlp_endpoint is not None:
        raise AttributeError(
            f"the REST client needs a Langfuse server; this client sends traces to {of.otlp_endpoint} over OTLP and to nothing else"
        )
    base_url, public_key, secret_key = destination(of)
    if not public_key or not secret_key:
        # As in Langfuse's SDK.
        raise AttributeError("the client has no keys: pass public_key and secret_key, or set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY")
    from tracespool.langfuse._version import __version__

    return {
        "base_url": base_url,
        "username": public_key,
        "password": secret_key,
        "x_langfuse_sdk_name": "python",
        "x_langfuse_sdk_version": __version__,
        "x_langfuse_public_key": public_key,
        "timeout": of._timeout,
    }


def http(of: Langfuse) -> Any:
    """The httpx client of a program's own, one with the headers that it wants, or the one that all others share."""
    global _shared
    if of._httpx_client is not None:
        return of._httpx_client
    headers = additional_headers(of)
    if not headers and _shared[0] == os.getpid():
        return _shared[1]
    import httpx

    made = httpx.Client(timeout=of._timeout, headers=headers)
    if not headers:
        # One tenant's cookies are not another's.
        made.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        _shared = (os.getpid(), made)
    return made
