"""The smooth calibration curve: somebody else's number, and curves that are known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from statsmodels.nonparametric.kernel_regression import KernelReg

from medgraft.evaluation.calibration_curve import _logit, bandwidth, calibration_curve, smooth

from .planted import binary, make_study


def test_curve_is_that_of_statsmodels():
    stream = np.random.default_rng(0)
    said = stream.uniform(0.05, 0.95, 150)
    came = (stream.random(150) < said).astype(float)
    at = np.array([0.1, 0.4, 0.8])
    place = _logit(said)
    theirs = KernelReg(came, place, "c", reg_type="ll", bw=[bandwidth(place)]).fit(_logit(at))[0]
    np.testing.assert_allclose(smooth(said, came, np.ones((1, 150)), at=at)[0], theirs, rtol=1e-6)


def study_of(factor, *, patients=1200, seed=1):
    """Predictions whose logits are `factor` times the true ones."""
    stream = np.random.default_rng(seed)
    z = 1.2 * stream.normal(size=patients)
    outcome = (stream.random(patients) < expit(z)).astype(float)
    blank = make_study({"tuned": 1.0})
    result = replace(blank.strategies["tuned"], test=binary(factor * z)[None])
    people = np.arange(patients)
    return replace(blank, outcome=outcome, patient=people, strategies={"tuned": result})


def test_band_of_calibrated_models_holds_the_diagonal():
    """In nine of ten places, over 20 cohorts: percentiles of draws are a little too narrow."""
    inside, distances = [], []
    for seed in range(20):
        study = study_of(1.0, patients=400, seed=seed)
        curve = calibration_curve(study, "tuned", draws=200, seed=0)
        low, high, at = (np.array(v) for v in (curve.low, curve.high, curve.predicted))
        inside.append(((low <= at) & (at <= high)).mean())
        distances.append(curve.ici)
    assert np.mean(inside) > 0.85
    assert np.mean(distances) < 0.05


def test_too_sure_model_leaves_the_diagonal():
    curve = calibration_curve(study_of(3.0), "tuned", draws=300, seed=0)
    at = np.array(curve.predicted)
    high_risk = np.argmin(np.abs(at - 0.95))
    # Told 95 %, a third of the logit is true: 73 %.
    assert curve.low[high_risk] < expit(np.log(19) / 3) < curve.high[high_risk]
    assert curve.high[high_risk] < 0.9
    assert curve.ici_low > 0.05


def test_outcome_without_classes_has_no_curve():
    study = replace(make_study({"tuned": 1.0}), task="survival")
    assert calibration_curve(study, "tuned", draws=200, seed=0) == (
        "a calibration curve needs one class of several, the outcome is survival"
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_equal_predictions_have_no_curve(seed):
    study = make_study({"tuned": 1.0})
    flat = replace(study.strategies["tuned"], test=np.full((6, 60, 2), 0.5))
    study = replace(study, strategies={"tuned": flat})
    told = calibration_curve(study, "tuned", draws=200, seed=seed)
    assert told == "every prediction is the same"
