from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CLASSIFICATION = frozenset({"binary", "multiclass"})
BINARY = frozenset({"binary"})
REGRESSION = frozenset({"regression"})


class Metric(ABC):
    """How good predictions are, for many weightings of the same rows at once.

    A weight row holds how often each row counts (all ones: the plain value). The answer is NaN,
    never a filler, for every weight row under which the metric is not defined.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    tasks: ClassVar[frozenset[str]]
    higher_is_better: ClassVar[bool | None]
    """None where neither direction is better, as for a calibration slope (ideal 1)."""
    bounds: ClassVar[tuple[float, float]]
    citation: ClassVar[str]
    within_folds: ClassVar[bool] = False
    """Whether only rows of one fold are compared, so that a fold may have nothing to compare."""

    def at(self, horizons: Sequence[float]) -> Self:  # noqa: ARG002 (of survival alone)
        """Return this metric for predictions at these times; most do not ask."""
        return self

    @abstractmethod
    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return the metric under every weight row, [B].

        outcome: [n], class index or value; multilabel [n, L], 0 or 1, NaN where not recorded;
        survival [n, 2], time and event. prediction: [n, C] class probabilities (binary: C = 2,
        column 1 the positive class), [n, 1] values, [n, L] probabilities of the labels, or [n, T]
        survival at the horizons. weight: [B, n], at least 0. fold: [n], codes of the models that
        made the predictions.
        """


def silent_folds(metric: Metric, outcome: Floats, prediction: Floats, fold: Integers) -> int:
    """Count the folds of all runs that add nothing to a metric that compares within folds.

    outcome: [n]. prediction: [K, n, C]. fold: [K, n].
    """
    if not metric.within_folds:
        return 0
    alone = [
        metric(outcome[mine], of_run[mine], np.ones((1, mine.sum())), folds[mine])
        for of_run, folds in zip(prediction, fold, strict=True)
        for mine in (folds == code for code in np.unique(folds))
    ]
    return int(np.isnan(alone).sum())


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide elementwise; NaN where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator == 0, np.nan, numerator / denominator)


def mean(value: Floats, weight: Floats) -> Floats:
    """Average value [n] under every weight row [B, n], giving [B]."""
    return ratio(weight @ value, weight.sum(axis=1))


def macro(per_class: Floats) -> Floats:
    """Reduce [B, C] to [B]: the positive class when C = 2, otherwise the mean over classes."""
    return per_class[:, 1] if per_class.shape[1] == 2 else per_class.mean(axis=1)
