"""Where langfuse 3 has its version."""

from tracespool.langfuse._version import __version__

__all__ = ["__version__"]
