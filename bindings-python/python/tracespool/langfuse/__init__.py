"""The face of Langfuse's SDK: change `from langfuse import ...` to `from tracespool.langfuse import ...`.

Only names that work are here; docs/compatibility.md lists what Langfuse's SDK has beyond.
"""

from tracespool import (
    __version__,
    get_client,
    observe,
    propagate_attributes,
)
from tracespool import Client as Langfuse
from tracespool._native import Observation

LangfuseSpan = Observation
LangfuseGeneration = Observation
LangfuseEvent = Observation
LangfuseAgent = Observation
LangfuseTool = Observation
LangfuseChain = Observation
LangfuseEmbedding = Observation
LangfuseEvaluator = Observation
LangfuseRetriever = Observation
LangfuseGuardrail = Observation

__all__ = [
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
    "__version__",
    "get_client",
    "observe",
    "propagate_attributes",
]
