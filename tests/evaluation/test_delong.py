import os

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from medgraft.evaluation.delong import delong_covariance, delong_test


def naive_components(outcome, scores):
    """DeLong's definition: every case against every control, O(cases x controls)."""
    case, control = scores[:, outcome == 1], scores[:, outcome == 0]
    won = (case[:, :, None] > control[:, None]) + (case[:, :, None] == control[:, None]) / 2
    v10, v01 = won.mean(axis=2), won.mean(axis=1)
    return won.mean(axis=(1, 2)), np.cov(v10) / v10.shape[1] + np.cov(v01) / v01.shape[1]


def test_equals_structural_components_with_ties():
    generator = np.random.default_rng(0)
    outcome = (generator.random(50) < 0.4).astype(float)
    scores = (generator.standard_normal((3, 50)) + outcome).round(0)
    area, covariance = delong_covariance(outcome, scores)
    expected_area, expected = naive_components(outcome, scores)
    np.testing.assert_allclose(area, expected_area, rtol=1e-12)
    np.testing.assert_allclose(covariance, expected, rtol=1e-12)
    np.testing.assert_allclose(area, [roc_auc_score(outcome, score) for score in scores])


def test_false_alarms_stay_at_level():
    generator, studies = np.random.default_rng(1), 1500
    outcome = np.repeat([0.0, 1.0], 60)
    alarms = 0
    for _ in range(studies):
        common = outcome + generator.standard_normal(120)
        first, second = common + 0.7 * generator.standard_normal((2, 120))
        alarms += delong_test(outcome, first, second=second).p < 0.05
    # A test of level 5 % fails either bound once in 10,000 seeds.
    low, high = binom.ppf([0.00005, 0.99995], studies, 0.05)
    assert low <= alarms <= high


def test_p_agrees_with_interval():
    generator = np.random.default_rng(2)
    outcome = np.repeat([0.0, 1.0], 40)
    for strength in np.linspace(0, 1.5, 12):
        first = strength * outcome + generator.standard_normal(80)
        found = delong_test(outcome, first, second=generator.standard_normal(80))
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
        assert found.difference == pytest.approx((found.low + found.high) / 2)


def test_same_scores_do_not_differ():
    outcome, score = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.5, 0.4, 0.9])
    found = delong_test(outcome, score, second=score)
    assert (found.difference, found.z, found.p) == (0.0, 0.0, 1.0)


def test_one_case_is_undefined():
    found = delong_test(np.array([1.0, 0.0, 0.0]), np.arange(3.0), second=np.arange(3.0))
    assert np.isnan([found.difference, found.low, found.high, found.z, found.p]).all()


def test_published_asah_interval_reproduced():
    path = os.environ.get("MEDGRAFT_ASAH")
    if not path:
        pytest.skip("needs pROC's aSAH data: R> write.csv(pROC::aSAH, f); MEDGRAFT_ASAH=f")
    data = pl.read_csv(path)
    poor = (data["outcome"] == "Poor").to_numpy().astype(float)
    found = delong_test(poor, data["s100b"].to_numpy(), second=data["wfns"].to_numpy())
    assert found.low == pytest.approx(-0.17421442, abs=1e-8)
    assert found.high == pytest.approx(-0.01040618, abs=1e-8)
