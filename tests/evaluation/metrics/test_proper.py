import numpy as np
import pytest
from sklearn import metrics as sk

from medgraft.evaluation.metrics.proper import Brier, LogLoss

FOLD = np.zeros(50, dtype=np.int64)


@pytest.fixture
def generator():
    return np.random.default_rng(5)


def test_log_loss_equals_sklearn(generator):
    for classes in (2, 4):
        outcome = np.arange(50.0) % classes
        prediction = generator.dirichlet(np.ones(classes), 50)
        weight = generator.integers(0, 3, (5, 50)).astype(float)
        labels = range(classes)
        expected = [
            sk.log_loss(outcome, prediction, sample_weight=w, labels=labels) for w in weight
        ]
        np.testing.assert_allclose(LogLoss()(outcome, prediction, weight, FOLD), expected)


def test_brier_equals_sklearn(generator):
    outcome, p = np.arange(50.0) % 2, generator.random(50)
    weight = generator.integers(0, 3, (5, 50)).astype(float)
    expected = [sk.brier_score_loss(outcome, p, sample_weight=w) for w in weight]
    prediction = np.stack([1 - p, p], axis=1)
    np.testing.assert_allclose(Brier()(outcome, prediction, weight, FOLD), expected)


def test_multiclass_brier_sums_classes():
    prediction = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    found = Brier()(np.array([2.0, 1.0]), prediction, np.array([[1.0, 1.0], [1.0, 0.0]]), FOLD[:2])
    np.testing.assert_allclose(found, [(0.04 + 0.09 + 0.25 + 2.0) / 2, 0.38])


def test_certain_mistake_costs_36_nats():
    found = LogLoss()(np.zeros(1), np.array([[0.0, 1.0]]), np.ones((1, 1)), FOLD[:1])
    assert found[0] == pytest.approx(36.04, abs=0.01)
