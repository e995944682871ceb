"""The observation classes, for `isinstance` and annotations.

There is one native class; what an observation is, it knows itself. `isinstance(observation, LangfuseGeneration)` asks it,
and the methods of these classes are the native ones.
"""

from __future__ import annotations

from tracespool import _native
from tracespool._native import Observation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_METHODS = [name for name in vars(Observation) if not name.startswith("__")]


class _Kind(type):
    """A class whose instances are the observations of one type."""

    def __instancecheck__(cls, instance: object) -> bool:
        wanted = cls.__dict__.get("observation_type_name")
        return isinstance(instance, Observation) and (wanted is None or instance.observation_type == wanted)

    def __call__(
        cls,
        *,
        otel_span: Any = None,
        langfuse_client: Any = None,
        as_type: str | None = None,
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        environment: str | None = None,
        release: str | None = None,
        version: str | None = None,
        level: Any = None,
        status_message: str | None = None,
        completion_start_time: Any = None,
        model: str | None = None,
        model_parameters: Any = None,
        usage_details: Any = None,
        cost_details: Any = None,
        prompt: Any = None,
    ) -> Any:
        """As Langfuse's SDK makes them, around a span: the observation of one of ours, else a new one below the span."""
        from tracespool.langfuse._client.otel_span import OtelSpan, trace_context

        observation = otel_span.observation if isinstance(otel_span, OtelSpan) else otel_span
        if not isinstance(observation, Observation):
            client = langfuse_client if isinstance(langfuse_client, _native.Client) else _native.get_client()
            kind: Any = cls.__dict__.get("observation_type_name") or as_type or "span"
            observation = client.start_observation(
                name=getattr(otel_span, "name", None) or kind, as_type=kind, trace_context=trace_context(otel_span)
            )
        for key, value in (("langfuse.environment", environment), ("langfuse.release", release)):
            if value is not None:
                observation.set_attribute(key, value)
        return observation.update(
            input=input,
            output=output,
            metadata=metadata,
            version=version,
            level=level,
            status_message=status_message,
            completion_start_time=completion_start_time,
            model=model,
            model_parameters=model_parameters,
            usage_details=usage_details,
            cost_details=cost_details,
            prompt=prompt,
        )


class LangfuseObservationWrapper(metaclass=_Kind):
    """Any observation."""


for _name in _METHODS:
    setattr(LangfuseObservationWrapper, _name, getattr(Observation, _name))


class LangfuseSpan(LangfuseObservationWrapper):
    """An observation of type span."""

    observation_type_name = "span"


class LangfuseGeneration(LangfuseObservationWrapper):
    """An observation of type generation."""

    observation_type_name = "generation"


class LangfuseEvent(LangfuseObservationWrapper):
    """An observation of type event: over at once, so that `update` changes nothing."""

    observation_type_name = "event"


class LangfuseAgent(LangfuseObservationWrapper):
    """An observation of type agent."""

    observation_type_name = "agent"


class LangfuseTool(LangfuseObservationWrapper):
    """An observation of type tool."""

    observation_type_name = "tool"


class LangfuseChain(LangfuseObservationWrapper):
    """An observation of type chain."""

    observation_type_name = "chain"


class LangfuseRetriever(LangfuseObservationWrapper):
    """An observation of type retriever."""

    observation_type_name = "retriever"


class LangfuseEmbedding(LangfuseObservationWrapper):
    """An observation of type embedding."""

    observation_type_name = "embedding"


class LangfuseEvaluator(LangfuseObservationWrapper):
    """An observation of type evaluator."""

    observation_type_name = "evaluator"


class LangfuseGuardrail(LangfuseObservationWrapper):
    """An observation of type guardrail."""

    observation_type_name = "guardrail"


def _otel_span(observation: Observation) -> Any:
    from tracespool.langfuse._client.otel_span import OtelSpan

    return OtelSpan(observation)


def _langfuse_client(observation: Observation) -> Any:
    from tracespool.langfuse._client.client import langfuse

    return langfuse(observation.client)


# Attributes that programs read although their names say that they should not.
for _name, _read in (
    ("_otel_span", _otel_span),
    ("_langfuse_client", _langfuse_client),
    ("_observation_type", lambda observation: observation.observation_type),
):
    setattr(Observation, _name, property(_read))


def _set_span_attributes_within_limit(span: Any, attributes: dict[str, Any], **_: Any) -> None:
    """Sets what is not None; our limit is one of bytes and of metadata keys, and is kept by the core."""
    for key, value in attributes.items():
        if value is not None:
            span.set_attribute(key, value)
