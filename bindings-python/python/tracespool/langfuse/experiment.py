"""`Evaluation`; the rest of `langfuse.experiment` is the installed langfuse package's."""

from __future__ import annotations

from tracespool.langfuse import _fallthrough

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Evaluation:
    """What an evaluator says of an output: a named value that becomes a score."""

    def __init__(
        self,
        *,
        name: str,
        value: int | float | str | bool,
        comment: str | None = None,
        metadata: dict[str, Any] | None = None,
        data_type: str | None = None,
        config_id: str | None = None,
    ) -> None:
        self.name = name
        self.value = value
        self.comment = comment
        self.metadata = metadata
        self.data_type = data_type
        self.config_id = config_id

    def __repr__(self) -> str:
        return f"Evaluation(name={self.name!r}, value={self.value!r})"


__getattr__ = _fallthrough.names(
    "experiment",
    frozenset(
        {
            "EvaluatorFunction",
            "ExperimentData",
            "ExperimentItem",
            "ExperimentItemResult",
            "ExperimentResult",
            "LocalExperimentItem",
            "RegressionError",
            "RunEvaluatorFunction",
            "RunnerContext",
            "TaskFunction",
            "create_evaluator_from_autoevals",
        }
    ),
)
