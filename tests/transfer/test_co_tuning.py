"""Co-tuning against the authors' code, and at its limits."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from medgraft.transfer import co_tuning

from . import planted

# `relationship_learning` of the authors' repository on the patients below, their temperature of
# ImageNet set to 1 and their regression left to converge.
PUBLISHED = [
    [0.6929975, 0.0437503, 0.1043709, 0.1588814],
    [0.0449334, 0.7060886, 0.0810525, 0.1679255],
    [0.1165886, 0.0259856, 0.6683556, 0.1890702],
]


def answered(rows, first):
    """Probabilities of four source classes, and outcomes of three."""
    i = np.arange(first, first + rows)
    logits = 2 * np.cos(0.21 * np.outer(i + 1, np.arange(1, 5)))
    return softmax(logits + 1.5 * (i[:, None] % 3 == np.arange(4)), axis=1), i % 3


def test_relation_as_published():
    found = co_tuning.relation(answered(90, 0), answered(45, 90), classes=3)
    np.testing.assert_allclose(found, PUBLISHED, atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1)


@pytest.mark.parametrize("C", [0.1, 30.0])
def test_regression_is_sklearns(C):
    said, y = answered(90, 0)
    theirs = LogisticRegression(C=C, fit_intercept=False, tol=1e-10, max_iter=9999).fit(said, y)
    ours = co_tuning.regression(said, y, classes=3, C=C)
    np.testing.assert_allclose(ours, theirs.coef_, atol=2e-3)


def test_source_that_knows_the_outcome_relates_each_class_to_itself():
    y = np.arange(60) % 3
    sure = softmax(20.0 * np.eye(3)[y], axis=1)
    found = co_tuning.relation((sure[:40], y[:40]), (sure[40:], y[40:]), classes=3)
    np.testing.assert_allclose(found, np.eye(3), atol=1e-3)


def test_source_that_knows_nothing_relates_all_classes_alike():
    """Every target class is then the source's prevalence."""
    y = np.arange(60) % 2
    said = np.tile([0.2, 0.3, 0.5], (60, 1))
    found = co_tuning.relation((said[:40], y[:40]), (said[40:], y[40:]), classes=2)
    np.testing.assert_allclose(found, np.tile([0.2, 0.3, 0.5], (2, 1)), atol=1e-6)


def test_class_without_training_patient_has_a_relation():
    said, y = answered(90, 0)
    found = co_tuning.relation((said, np.minimum(y, 1)), answered(45, 90), classes=3)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(1), 1)


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_scale_undoes_overconfidence(factor):
    """Outcomes drawn from the logits themselves: 4 standard errors at 20,000 patients."""
    stream = np.random.default_rng(0)
    logits = np.c_[np.zeros(20_000), stream.normal(0, 1.5, 20_000)]
    y = (stream.random(20_000) < softmax(logits, axis=1)[:, 1]).astype(float)
    assert co_tuning.calibration_scale(factor * logits, y) == pytest.approx(1 / factor, rel=0.08)


def guard(network, weight=2.3):
    made = co_tuning.CoTuning(network, weight=weight)
    made.relation = torch.eye(2)
    made.matrix = network.head.linear.weight.detach()
    made.intercept = network.head.linear.bias.detach()
    return made


def test_identity_is_the_outcome_once_more():
    """Each class means itself, and both heads are the same: the error, times the weight."""
    network = planted.network()
    seen = planted.seen(network)
    assert guard(network)(seen).item() == pytest.approx(2.3 * seen.losses.mean().item(), rel=1e-6)
    assert guard(network, weight=0.0)(seen) == 0


def test_source_says_its_classes_calibrated():
    network, (x, _) = planted.network().eval(), planted.batch()
    said = co_tuning.SourceModel(network, 0.5).said(x.numpy())
    expected = torch.sigmoid(0.5 * network(x)[:, 0]).detach()
    np.testing.assert_allclose(said[:, 1], expected, rtol=1e-5)
    np.testing.assert_allclose(said.sum(1), 1)
