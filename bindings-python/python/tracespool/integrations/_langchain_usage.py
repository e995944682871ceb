"""Token counts as LangChain's providers report them, under the names that Langfuse's servers price."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Later names win where a provider reports both.
_NAMES = (
    ("input_tokens", "input"),  # LangChain's own, Anthropic
    ("output_tokens", "output"),
    ("total_tokens", "total"),
    ("prompt_tokens", "input"),  # OpenAI, ChatBedrock
    ("completion_tokens", "output"),
    ("prompt_token_count", "input"),  # Vertex AI
    ("candidates_token_count", "output"),
    ("total_token_count", "total"),
    ("inputTokenCount", "input"),  # Bedrock's invocation metrics, lists where the answer was streamed
    ("outputTokenCount", "output"),
    ("totalTokenCount", "total"),
    ("input_token_count", "input"),  # IBM watsonx
    ("generated_token_count", "output"),
)
# Servers understand OpenAI's own shape as it is.
_OPENAI = (
    {"prompt_tokens", "completion_tokens", "total_tokens"},
    {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"},
)


def counts(usage: Any) -> dict[str, Any] | None:
    """Renamed counts. Details become keys of their own (`input_cache_read`) and are taken out of the sum they are part of,
    since servers add all keys up; a priority tier is no part but a way of billing and stays in. `None` where nothing counts.
    """
    told: dict[str, Any] = dict(usage if isinstance(usage, dict) else vars(usage))
    if told.keys() in _OPENAI:
        return told
    for name, ours in _NAMES:
        if name in told:
            count = told.pop(name)
            told[ours] = sum(count) if isinstance(count, list) else count
    for side in ("input", "output"):
        details = told.pop(f"{side}_token_details", None)
        if details:
            for key, count in details.items():
                tier = key == "priority" or key.startswith("priority_")
                _detail(told, f"{side}_{key}", count, None if tier else side)
    details = told.get("prompt_tokens_details")
    if isinstance(details, dict):
        for key, count in details.items():
            _detail(told, f"input_{key}", count, "input")
    else:
        _modalities(told, details, "input_modality_", "input")
    _modalities(told, told.get("candidates_tokens_details"), "output_modality_", "output")
    _modalities(told, told.get("cache_tokens_details"), "cached_modality_", "input", "input_modality_")
    created = told.get("cache_creation")
    if isinstance(created, dict):  # Anthropic: by how long the cache lives
        total = 0
        for key, count in created.items():
            if isinstance(count, int):
                told[f"cache_creation_{key}"] = count
                total += count
        if total:
            told.setdefault("cache_creation_input_tokens", total)
    return {key: count for key, count in told.items() if isinstance(count, int)} or None


def _detail(told: dict[str, Any], key: str, count: Any, *sums: str | None) -> None:
    if not isinstance(count, int):
        return
    told[key] = count
    for part in sums:
        if part is not None and isinstance(told.get(part), int):
            told[part] = max(0, told[part] - count)


def _modalities(told: dict[str, Any], details: Any, prefix: str, side: str, other: str | None = None) -> None:
    """Vertex AI lists its details by modality."""
    if not isinstance(details, list):
        return
    for item in details:
        if isinstance(item, dict) and "modality" in item and "token_count" in item:
            modality = item["modality"]
            _detail(told, f"{prefix}{modality}", item["token_count"], side, other and f"{other}{modality}")
