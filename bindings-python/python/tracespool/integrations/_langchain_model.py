"""The name of the model that a LangChain run calls."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Where a class keeps its model: keys of what it was made with, or of what it is called with.
_MADE_WITH = {
    "ChatGoogleGenerativeAI": "model",
    "ChatMistralAI": "model",
    "ChatVertexAi": "model_name",
    "ChatVertexAI": "model_name",
    "BedrockChat": "model_id",
    "Bedrock": "model_id",
    "BedrockLLM": "model_id",
    "ChatBedrock": "model_id",
}
_CALLED_WITH = {
    "OpenAI": ("model_name",),
    "ChatOpenAI": ("model_name",),
    "AzureChatOpenAI": ("model", "model_name", "azure_deployment"),
    "AzureOpenAI": ("model", "model_name"),
    "HuggingFacePipeline": ("model_id",),
    "LlamaCpp": ("model_path",),
    "WatsonxLLM": ("model_id",),
}
# Classes that tell it in their `repr` only, and what stands for those that may leave it out.
_SHOWN = {
    "Anthropic": "model",
    "ChatAnthropic": "model",
    "ChatTongyi": "model_name",
    "ChatCohere": "model",
    "Cohere": "model",
    "HuggingFaceHub": "model",
    "ChatHuggingFace": "model_id",
    "ChatAnyscale": "model_name",
    "TextGen": "model",
    "Ollama": "model",
    "OllamaLLM": "model",
    "ChatOllama": "model",
    "ChatFireworks": "model",
    "ChatPerplexity": "model",
    "VLLM": "model",
    "Xinference": "model_uid",
    "ChatOCIGenAI": "model_id",
    "DeepInfra": "model_id",
}
_UNSAID = {"Anthropic": "anthropic", "TextGen": "text-gen"}


def name(serialized: Any, metadata: Any, called_with: Any) -> str | None:
    """What `ls_model_name` says; else what the class is known to say; else the first thing that looks like a model."""
    if metadata and (said := metadata.get("ls_model_name")):
        return str(said)
    called_with = called_with if isinstance(called_with, dict) else {}
    serialized = serialized if isinstance(serialized, dict) else {}
    made_with = serialized.get("kwargs")
    made_with = made_with if isinstance(made_with, dict) else {}
    path = serialized.get("id")
    known = path[-1] if isinstance(path, list) and path else None
    found = None
    if known in _MADE_WITH:
        found = made_with.get(_MADE_WITH[known])
    elif known in _CALLED_WITH:
        found = next(filter(None, map(called_with.get, _CALLED_WITH[known])), None)
        if known == "AzureOpenAI" and not found:
            return _deployment(made_with)
    elif known in _SHOWN:
        shown = serialized.get("repr")
        if isinstance(shown, str) and shown:
            match = re.search(rf"{_SHOWN[known]}='(.*?)'", shown)
            found = (match and match.group(1)) or _UNSAID.get(known)
    if not found:
        for where in (called_with, made_with):
            found = found or where.get("model_name") or where.get("model")
    return str(found) if found else None


def _deployment(made_with: dict[str, Any]) -> str | None:
    """Azure names a deployment, and its version where the API version is fixed."""
    deployment = made_with.get("deployment_name")
    version = made_with.get("deployment_version") if made_with.get("openai_api_version") else None
    if not isinstance(deployment, str):
        return None
    if not isinstance(version, str) or version in deployment:
        return deployment
    return f"{deployment}-{version}"
