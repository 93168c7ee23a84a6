"""Means over labels: scikit-learn's numbers, labels not recorded, labels without a case."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from medgraft.evaluation.metrics.multilabel import (
    MacroAuprc,
    MacroAuroc,
    MacroBrier,
    MacroF1,
    MacroLogLoss,
)


def patients(rows: int = 90, labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    stream = np.random.default_rng(0)
    outcome = (stream.random((rows, labels)) < [0.5, 0.3, 0.1]).astype(float)
    return outcome, 1 / (1 + np.exp(-(2 * outcome - 1 + stream.normal(size=(rows, labels)))))


def value(metric, outcome, prediction, weight=None) -> float:
    weight = np.ones((1, len(outcome))) if weight is None else weight
    (only,) = metric(outcome, prediction, weight, np.zeros(len(outcome), dtype=np.int64))
    return float(only)


def test_means_are_scikit_learns():
    outcome, said = patients()
    expected = {
        MacroAuroc: sklearn_metrics.roc_auc_score(outcome, said, average="macro"),
        MacroAuprc: sklearn_metrics.average_precision_score(outcome, said, average="macro"),
        MacroF1: sklearn_metrics.f1_score(outcome, said > 0.5, average="macro"),
        MacroBrier: np.mean((said - outcome) ** 2),
        MacroLogLoss: np.mean(
            [sklearn_metrics.log_loss(outcome[:, j], said[:, j]) for j in range(3)]
        ),
    }
    found = {metric: value(metric(), outcome, said) for metric in expected}
    assert found == pytest.approx(expected)


def test_labels_not_recorded_do_not_count():
    """Each label is judged on the rows that recorded it, whatever is predicted for the others."""
    outcome, said = patients()
    outcome[:30, 1] = np.nan
    alone = [
        sklearn_metrics.roc_auc_score(outcome[rows, label], said[rows, label])
        for label, rows in ((0, slice(None)), (1, slice(30, None)), (2, slice(None)))
    ]
    assert value(MacroAuroc(), outcome, said) == pytest.approx(np.mean(alone))


def test_label_without_case_is_left_out():
    outcome, said = patients()
    without = np.column_stack([outcome, np.zeros(len(outcome))])
    more = np.column_stack([said, said[:, 0]])
    assert value(MacroAuroc(), without, more) == value(MacroAuroc(), outcome, said)
    assert np.isnan(value(MacroAuroc(), without[:, 3:], more[:, 3:]))


def test_draw_that_loses_a_label_is_undefined():
    """Other labels alone would be another quantity than the one on all patients."""
    outcome, said = patients()
    rest = (outcome[:, 2] == 0).astype(float)[None]
    assert np.isnan(value(MacroAuroc(), outcome, said, rest))
