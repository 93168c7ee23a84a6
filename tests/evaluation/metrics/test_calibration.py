import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from medgraft.evaluation.metrics.calibration import (
    CalibrationIntercept,
    CalibrationSlope,
    Ece,
    recalibrate,
)

FOLD = np.zeros(200, dtype=np.int64)


def binary(logit):
    p = 1 / (1 + np.exp(-logit))
    return np.stack([1 - p, p], axis=1)


@pytest.mark.parametrize("scale", [0.1, 1.0, 8.0])
def test_equals_statsmodels_logistic_regression(scale):
    generator = np.random.default_rng(9)
    logit = generator.standard_normal(200)
    outcome = (generator.random(200) < binary(0.7 * logit - 0.5)[:, 1]).astype(float)
    weight = generator.integers(0, 3, (4, 200)).astype(float)
    prediction = binary(scale * logit)
    family = sm.families.Binomial()
    for w, slope, intercept in zip(
        weight,
        CalibrationSlope()(outcome, prediction, weight, FOLD),
        CalibrationIntercept()(outcome, prediction, weight, FOLD),
        strict=True,
    ):
        free = sm.GLM(outcome, sm.add_constant(scale * logit), family, freq_weights=w).fit()
        held = sm.GLM(outcome, np.ones(200), family, freq_weights=w, offset=scale * logit).fit()
        assert slope == pytest.approx(free.params[1], rel=1e-6)
        assert intercept == pytest.approx(held.params[0], rel=1e-6, abs=1e-6)


@settings(deadline=None)
@given(
    st.lists(st.floats(-30, 30), min_size=6, max_size=30),
    st.integers(0, 2**32 - 1),
)
def test_solves_likelihood_equations_from_anywhere(logits, seed):
    logit = np.array(logits)
    outcome = (np.random.default_rng(seed).random(len(logit)) < 0.5).astype(float)
    ones = np.ones((1, len(logit)))
    (intercept,), _ = recalibrate(outcome, logit, weight=ones, free_slope=False)
    if 0 < outcome.sum() < len(outcome):
        residual = outcome - binary(intercept + logit)[:, 1]
        assert abs(residual.sum()) < 1e-6
    else:
        assert np.isnan(intercept)
    overlap = (
        outcome.any()
        and (1 - outcome).any()
        and all(
            (sign * logit[outcome == 1]).min() < (sign * logit[outcome == 0]).max() - 1e-3
            for sign in (1, -1)
        )
    )
    if overlap:
        (intercept,), (slope,) = recalibrate(outcome, logit, weight=ones, free_slope=True)
        residual = outcome - binary(intercept + slope * logit)[:, 1]
        np.testing.assert_allclose([residual.sum(), residual @ logit], 0, atol=1e-5)


def test_separated_classes_have_no_slope():
    logit = np.array([-2.0, -1.0, 1.0, 2.0])
    outcome = np.array([0.0, 0.0, 1.0, 1.0])
    weight = np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    assert np.isnan(CalibrationSlope()(outcome, binary(logit), weight, FOLD[:4])).all()


def test_constant_predictions_have_no_slope():
    outcome = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    prediction = binary(np.full(5, 0.3))
    assert np.isnan(CalibrationSlope()(outcome, prediction, np.ones((1, 5)), FOLD[:5]))
    intercept = CalibrationIntercept()(outcome, prediction, np.ones((1, 5)), FOLD[:5])
    assert intercept[0] == pytest.approx(np.log(0.6 / 0.4) - 0.3)


def test_ece_is_weighted_gap_of_bins():
    said = np.array([0.05, 0.08, 0.55, 0.95])
    outcome = np.array([0.0, 1.0, 1.0, 1.0])
    weight = np.array([[1.0, 1.0, 1.0, 1.0], [3.0, 0.0, 1.0, 0.0]])
    prediction = np.stack([1 - said, said], axis=1)
    expected = [(abs(0.13 - 1) + 0.45 + 0.05) / 4, (0.15 + 0.45) / 4]
    np.testing.assert_allclose(Ece()(outcome, prediction, weight, FOLD[:4]), expected)


def test_multiclass_ece_uses_confidence():
    prediction = np.array([[0.72, 0.2, 0.08], [0.1, 0.15, 0.75]])
    found = Ece()(np.array([0.0, 1.0]), prediction, np.ones((1, 2)), FOLD[:2])
    assert found[0] == pytest.approx(abs(0.72 + 0.75 - 1) / 2)
