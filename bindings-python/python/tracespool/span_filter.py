"""Which spans of other instrumentation go to a client: predicates for `should_export_span`.

Without that option a client takes what `is_default_export_span` takes. Needs no OpenTelemetry: anything with
`instrumentation_scope` and `attributes` will do.
"""

from __future__ import annotations

from tracespool import _native

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = [
    "KNOWN_LLM_INSTRUMENTATION_SCOPE_PREFIXES",
    "is_default_export_span",
    "is_genai_span",
    "is_known_llm_instrumentor",
    "is_langfuse_span",
]

KNOWN_LLM_INSTRUMENTATION_SCOPE_PREFIXES: frozenset[str] = frozenset(_native.KNOWN_SCOPES)
"""Scope names of instrumentation for language models, each with all names below it (`name.*`)."""


def _scope(span: ReadableSpan) -> str:
    scope = span.instrumentation_scope
    name = None if scope is None else scope.name
    return name if isinstance(name, str) else ""


def is_langfuse_span(span: ReadableSpan) -> bool:
    """True for spans of a Langfuse SDK, and for observations of this one."""
    return _native.is_langfuse_scope(_scope(span))


def is_genai_span(span: ReadableSpan) -> bool:
    """True for spans with an attribute of the semantic conventions for generative AI (`gen_ai.*`)."""
    return any(isinstance(key, str) and key.startswith("gen_ai.") for key in span.attributes or ())


def is_known_llm_instrumentor(span: ReadableSpan) -> bool:
    """True for spans of instrumentation that is known to be for language models."""
    return _native.is_known_scope(_scope(span))


def is_default_export_span(span: ReadableSpan) -> bool:
    """What is taken where nobody says otherwise: any of the three above."""
    return is_langfuse_span(span) or is_genai_span(span) or is_known_llm_instrumentor(span)
