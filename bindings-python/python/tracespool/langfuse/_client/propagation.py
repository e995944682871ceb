"""`propagate_attributes`, and what experiments of the installed langfuse package propagate besides."""

from __future__ import annotations

from contextvars import ContextVar

from tracespool import propagate_attributes
from tracespool.langfuse import _fallthrough

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["propagate_attributes"]

# Experiments are kept apart from what the application traces by their environment.
_ENVIRONMENT = "sdk-experiment"
_KEYS = {
    "experiment_id": "langfuse.experiment.id",
    "experiment_name": "langfuse.experiment.name",
    "experiment_metadata": "langfuse.experiment.metadata",
    "experiment_dataset_id": "langfuse.experiment.dataset.id",
    "experiment_item_id": "langfuse.experiment.item.id",
    "experiment_item_metadata": "langfuse.experiment.item.metadata",
    "experiment_item_root_observation_id": "langfuse.experiment.item.root_observation_id",
}
_NOTHING: dict[str, str] = {}
_propagated: ContextVar[dict[str, str]] = ContextVar("tracespool.langfuse.experiment", default=_NOTHING)


class _Experiment:
    """A block inside which observations belong to an experiment's item."""

    def __init__(self, attributes: dict[str, str], keywords: dict[str, Any]) -> None:
        self.attributes = attributes
        self.block = propagate_attributes(**keywords, _attributes=attributes)  # type: ignore[call-arg]
        self.before = _NOTHING

    def __enter__(self) -> None:
        self.before = _propagated.get()
        _propagated.set(self.attributes)
        self.block.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.block.__exit__(*error)
        _propagated.set(self.before)


def _propagate_attributes(*, experiment: Mapping[str, str | None] | None = None, **keywords: Any) -> Any:
    if not experiment:
        return propagate_attributes(**keywords)
    attributes = {_KEYS[key]: value for key, value in experiment.items() if key in _KEYS and value is not None}
    return _Experiment({**attributes, "langfuse.environment": _ENVIRONMENT}, keywords)


def _get_propagated_attributes_from_context(context: object = None) -> dict[str, str]:
    """What an enclosing experiment propagates."""
    return dict(_propagated.get())


__getattr__ = _fallthrough.names("_client.propagation")
