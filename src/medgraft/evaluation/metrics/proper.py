# ruff: noqa: ARG002  (one signature for every metric; only AUROC needs the folds)
import numpy as np

from medgraft.evaluation.metrics.metric import (
    CLASSIFICATION,
    Floats,
    Integers,
    Metric,
    mean,
)
from medgraft.tasks import task as tasks


class Brier(Metric):
    """Mean squared error of the probabilities: of the positive class, or summed over classes."""

    name = "brier"
    label = "Brier score"
    tasks = CLASSIFICATION
    higher_is_better = False
    bounds = (0.0, 2.0)
    citation = "Brier 1950, Mon. Weather Rev. 78:1"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return the Brier score [B]; see `Metric`. Binary: 0 to 1; multiclass: 0 to 2."""
        classes = prediction.shape[1]
        squares = (prediction - np.eye(classes)[outcome.astype(np.int64)]) ** 2
        return mean(squares[:, 1] if classes == 2 else squares.sum(axis=1), weight)


class LogLoss(Metric):
    """Mean of minus the log probability of the true class, in nats."""

    name = "log_loss"
    label = "log loss"
    tasks = CLASSIFICATION
    higher_is_better = False
    bounds = (0.0, np.inf)
    citation = "Good 1952, J. R. Stat. Soc. B 14:107"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return the log loss [B]; see `Metric`."""
        return mean(tasks.of("multiclass").row_losses(outcome, prediction), weight)
