# ruff: noqa: ARG002  (one signature for every metric; only AUROC needs the folds)
from typing import NamedTuple

import numpy as np

from medgraft.evaluation.metrics.metric import (
    CLASSIFICATION,
    Floats,
    Integers,
    Metric,
    macro,
    ratio,
)


class Counts(NamedTuple):
    """Weighted counts of each class against the rest, every field [B, C]."""

    true_positive: Floats
    false_positive: Floats
    false_negative: Floats
    true_negative: Floats


def confusion_matrix(outcome: Floats, prediction: Floats, weight: Floats) -> Floats:
    """Count (true, predicted) classes under every weight row, [B, C, C].

    The predicted class is the most probable one, so 0.5 is the binary threshold; exactly 0.5 is
    negative.
    """
    classes = prediction.shape[1]
    cell = outcome.astype(np.int64) * classes + prediction.argmax(axis=1)
    return (weight @ np.eye(classes**2)[cell]).reshape(-1, classes, classes)


def one_against_rest(matrix: Floats) -> Counts:
    """Split confusion matrices [B, C, C] into the counts of each class, [B, C]."""
    hit = np.diagonal(matrix, axis1=1, axis2=2)
    predicted, true = matrix.sum(axis=1), matrix.sum(axis=2)
    rest = matrix.sum(axis=(1, 2))[:, None] - predicted - true + hit
    return Counts(hit, predicted - hit, true - hit, rest)


class Accuracy(Metric):
    """Share of rows whose most probable class is the true one."""

    name = "accuracy"
    label = "accuracy"
    tasks = CLASSIFICATION
    higher_is_better = True
    bounds = (0.0, 1.0)
    citation = "Sokolova & Lapalme 2009, Inf. Process. Manag. 45:427"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return accuracy [B]; see `Metric`."""
        matrix = confusion_matrix(outcome, prediction, weight)
        return ratio(np.trace(matrix, axis1=1, axis2=2), matrix.sum(axis=(1, 2)))


class Precision(Metric):
    """Positive predictive value; macro over classes. Undefined where a class is never predicted."""

    name = "precision"
    label = "precision (PPV)"
    tasks = CLASSIFICATION
    higher_is_better = True
    bounds = (0.0, 1.0)
    citation = "Sokolova & Lapalme 2009, Inf. Process. Manag. 45:427"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return precision [B]; see `Metric`."""
        n = one_against_rest(confusion_matrix(outcome, prediction, weight))
        return macro(ratio(n.true_positive, n.true_positive + n.false_positive))


class Recall(Metric):
    """Sensitivity; macro over classes. Undefined where a class has no row."""

    name = "recall"
    label = "sensitivity (recall)"
    tasks = CLASSIFICATION
    higher_is_better = True
    bounds = (0.0, 1.0)
    citation = "Altman & Bland 1994, BMJ 308:1552"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return recall [B]; see `Metric`."""
        n = one_against_rest(confusion_matrix(outcome, prediction, weight))
        return macro(ratio(n.true_positive, n.true_positive + n.false_negative))


class Specificity(Metric):
    """Recall of the negatives; macro over classes taken one against the rest."""

    name = "specificity"
    label = "specificity"
    tasks = CLASSIFICATION
    higher_is_better = True
    bounds = (0.0, 1.0)
    citation = "Altman & Bland 1994, BMJ 308:1552"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return specificity [B]; see `Metric`."""
        n = one_against_rest(confusion_matrix(outcome, prediction, weight))
        return macro(ratio(n.true_negative, n.true_negative + n.false_positive))


class F1(Metric):
    """Harmonic mean of precision and recall; macro over classes. Undefined where recall is."""

    name = "f1"
    label = "F1"
    tasks = CLASSIFICATION
    higher_is_better = True
    bounds = (0.0, 1.0)
    citation = "van Rijsbergen 1979, Information Retrieval, 2nd ed."

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return F1 [B]; see `Metric`."""
        n = one_against_rest(confusion_matrix(outcome, prediction, weight))
        there = n.true_positive + n.false_negative
        f1 = ratio(2 * n.true_positive, there + n.true_positive + n.false_positive)
        return macro(np.where(there > 0, f1, np.nan))


class Mcc(Metric):
    """Matthews correlation; with more than two classes Gorodkin's R_K, which it generalises to.

    Undefined where all rows are, or are predicted as, one class.
    """

    name = "mcc"
    label = "Matthews correlation"
    tasks = CLASSIFICATION
    higher_is_better = True
    bounds = (-1.0, 1.0)
    citation = "Gorodkin 2004, Comput. Biol. Chem. 28:367"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return the correlation [B]; see `Metric`."""
        matrix = confusion_matrix(outcome, prediction, weight)
        predicted, true = matrix.sum(axis=1), matrix.sum(axis=2)
        total, hit = true.sum(axis=1), np.trace(matrix, axis1=1, axis2=2)
        spread = (total**2 - (predicted**2).sum(axis=1)) * (total**2 - (true**2).sum(axis=1))
        return ratio(hit * total - (predicted * true).sum(axis=1), np.sqrt(spread))
