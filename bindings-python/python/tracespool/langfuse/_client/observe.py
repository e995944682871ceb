"""`observe`."""

from tracespool import observe
from tracespool.langfuse import _fallthrough

__all__ = ["observe"]
__getattr__ = _fallthrough.names("_client.observe")
