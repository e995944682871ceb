"""`langfuse.span_filter`."""

from tracespool.span_filter import (
    KNOWN_LLM_INSTRUMENTATION_SCOPE_PREFIXES,
    is_default_export_span,
    is_genai_span,
    is_known_llm_instrumentor,
    is_langfuse_span,
)

__all__ = [
    "KNOWN_LLM_INSTRUMENTATION_SCOPE_PREFIXES",
    "is_default_export_span",
    "is_genai_span",
    "is_known_llm_instrumentor",
    "is_langfuse_span",
]
