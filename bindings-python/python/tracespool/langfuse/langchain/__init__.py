"""`from tracespool.langfuse.langchain import CallbackHandler`: see `tracespool.integrations.langchain`."""

from tracespool.integrations.langchain import CallbackHandler

__all__ = ["CallbackHandler"]
