"""`langfuse._client.span_filter`."""

from tracespool.langfuse.span_filter import *  # noqa: F403
