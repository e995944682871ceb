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



def __getattr__(name: str) -> object:
    # Looked up once: media are loaded by those who use them.
    if name in ("LangfuseMedia", "LangfuseMediaReference"):
        from tracespool import media

        globals()[name] = found = getattr(media, name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
    "LangfuseMedia",
    "LangfuseMediaReference",
    "LangfuseRetriever",
    "LangfuseSpan",
    "LangfuseTool",
    "__version__",
    "get_client",
    "observe",
    "propagate_attributes",
]
