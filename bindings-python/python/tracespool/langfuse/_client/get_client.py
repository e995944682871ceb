"""`get_client`."""

from tracespool.langfuse import _fallthrough
from tracespool.langfuse._client.client import get_client

__all__ = ["get_client"]
__getattr__ = _fallthrough.names("_client.get_client")
