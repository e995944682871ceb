"""The face of Langfuse's SDK: change `from langfuse import ...` to `from tracespool.langfuse import ...`, or call
`install()` first (or run `python -m tracespool.langfuse run app.py`) and change nothing at all.

Names are those of langfuse 5, and what 3 and 4 had beyond; docs/compatibility-signatures.md lists each. What only the
langfuse package has (the REST client, datasets, experiments) is taken from it where it is installed, traced by us.
Everything but the names below is loaded on use.
"""

from __future__ import annotations

import os

from tracespool import observe, propagate_attributes
from tracespool.langfuse import _fallthrough
from tracespool.langfuse._client.client import Langfuse, get_client
from tracespool.langfuse._client.span import (
    LangfuseAgent,
    LangfuseChain,
    LangfuseEmbedding,
    LangfuseEvaluator,
    LangfuseEvent,
    LangfuseGeneration,
    LangfuseGuardrail,
    LangfuseRetriever,
    LangfuseSpan,
    LangfuseTool,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tracespool.langfuse._installation import install, uninstall
    from tracespool.langfuse._version import __version__

# Where each name lives that is loaded on use.
_HOMES = {
    "BatchEvaluationResult": "batch_evaluation",
    "BatchEvaluationResumeToken": "batch_evaluation",
    "CompositeEvaluatorFunction": "batch_evaluation",
    "Evaluation": "experiment",
    "EvaluatorInputs": "batch_evaluation",
    "EvaluatorStats": "batch_evaluation",
    "KNOWN_LLM_INSTRUMENTATION_SCOPE_PREFIXES": "span_filter",
    "LangfuseMedia": "media",
    "LangfuseMediaReference": "media",
    "LangfuseOtelSpanAttributes": "_client.attributes",
    "MapperFunction": "batch_evaluation",
    "MaskOtelSpansFunction": "types",
    "MaskOtelSpansParams": "types",
    "MaskOtelSpansResult": "types",
    "ObservationTypeLiteral": "_client.constants",
    "OtelSpanData": "types",
    "OtelSpanIdentifier": "types",
    "OtelSpanPatch": "types",
    "RegressionError": "experiment",
    "RunnerContext": "experiment",
    "__version__": "_version",
    "install": "_installation",
    "is_default_export_span": "span_filter",
    "is_genai_span": "span_filter",
    "is_known_llm_instrumentor": "span_filter",
    "is_langfuse_span": "span_filter",
    "uninstall": "_installation",
}
_MODULES = frozenset(
    {"api", "batch_evaluation", "experiment", "langchain", "logger", "media", "model", "openai", "span_filter", "types", "version"}
)

__all__ = sorted(
    [
        "Langfuse",
        "LangfuseAgent",
        "LangfuseChain",
        "LangfuseEmbedding",
        "LangfuseEvaluator",
        "LangfuseEvent",
        "LangfuseGeneration",
        "LangfuseGuardrail",
        "LangfuseRetriever",
        "LangfuseSpan",
        "LangfuseTool",
        "api",
        "experiment",
        "get_client",
        "observe",
        "propagate_attributes",
        *_HOMES,
    ]
)


if os.environ.get("TRACESPOOL_GLOBAL_PROVIDER"):
    from tracespool import _global_provider

    _global_provider.from_environment()


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tracespool.langfuse' has no attribute {name!r}; docs/compatibility.md says what there is")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
