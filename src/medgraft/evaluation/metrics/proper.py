# ruff: noqa: ARG002  (one signature for every metric; only AUROC needs the folds)
import numpy as np

from medgraft.evaluation.metrics.metric import (
    CLASSIFICATION,
    Floats,
    Integers,
    Metric,
    mean,
    ratio,
)


def row_log_loss(outcome: Floats, prediction: Floats) -> Floats:
    """Minus the log probability of the true class, in nats, [n].

    outcome: [n] class index. prediction: [n, C]. Probabilities under 2.2e-16 count as that, so one
    row costs at most 36 nats (the convention of scikit-learn).
    """
    of_truth = np.take_along_axis(prediction, outcome.astype(np.int64)[:, None], axis=1)[:, 0]
    return -np.log(np.maximum(of_truth, np.finfo(np.float64).eps))


def row_label_loss(outcome: Floats, prediction: Floats) -> Floats:
    """Mean of minus the log probability of what is true of every label a row recorded, [n].

    outcome: [n, L], 0, 1 or NaN where not recorded. prediction: [n, L], as in `row_log_loss`.
    """
    of_truth = np.where(outcome == 1, prediction, 1 - prediction)
    losses = -np.log(np.maximum(of_truth, np.finfo(np.float64).eps))
    known = ~np.isnan(outcome)
    return ratio(np.where(known, losses, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


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
        return mean(row_log_loss(outcome, prediction), weight)
