"""`langfuse.media`."""

from tracespool.media import LangfuseMedia, LangfuseMediaReference

__all__ = ["LangfuseMedia", "LangfuseMediaReference"]
