"""Corrections of probabilities: somebody else's numbers, and what they repair."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from medgraft.evaluation.metrics.calibration import CalibrationSlope
from medgraft.evaluation.metrics.proper import LogLoss
from medgraft.evaluation.recalibration import (
    AS_IT_IS,
    isotonic,
    platt,
    recalibration,
    temperature,
)

from .planted import binary, make_study

METRICS = {"log_loss": LogLoss(), "calibration_slope": CalibrationSlope()}


def too_sure(factor, patients=400, seed=0):
    """True risks, and probabilities whose logits are `factor` times too large."""
    stream = np.random.default_rng(seed)
    z = 1.5 * stream.normal(size=patients)
    return binary(factor * z), (stream.random(patients) < expit(z)).astype(int)


def test_platt_is_that_of_sklearn():
    said, truth = too_sure(2.0)
    theirs = _SigmoidCalibration().fit(logit(said[:, 1]), truth).predict(logit(said[:, 1]))
    np.testing.assert_allclose(platt(said, truth)(said)[:, 1], theirs, atol=1e-4)


def test_isotonic_is_that_of_sklearn():
    said, truth = too_sure(2.0)
    theirs = IsotonicRegression(out_of_bounds="clip").fit_transform(said[:, 1], truth)
    np.testing.assert_allclose(isotonic(said, truth)(said)[:, 1], theirs)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_temperature_undoes_what_was_multiplied(factor):
    """20,000 patients know the temperature to a few hundredths."""
    said, truth = too_sure(factor, patients=20_000)
    right, _ = too_sure(1.0, patients=20_000)
    corrected = temperature(said, truth)(said)
    np.testing.assert_allclose(corrected.sum(axis=1), 1)
    np.testing.assert_allclose(corrected, right, atol=0.02)


def test_separated_patients_keep_platt_finite():
    said = binary(np.array([-3.0, -2.0, 2.0, 3.0]))
    answered = platt(said, np.array([0, 0, 1, 1]))(said)
    assert 0.5 < answered[2, 1] < 0.9  # Platt's target of two cases is 3/4


def judged(study):
    scores, refused = recalibration(study, METRICS, strategies=["tuned"], draws=200, seed=0)
    return {(one.method, one.metric): one for one in scores}, refused


def study_of(factor):
    """A model that is `factor` times too sure, in three runs of four folds."""
    said, truth = too_sure(factor, patients=240, seed=5)
    fold = np.tile(np.arange(240) % 4, (3, 1))
    result = replace(
        make_study({"tuned": 1.0}).strategies["tuned"],
        test=np.tile(said, (3, 1, 1)),
        fold=fold,
        validation_run=np.repeat(np.arange(3), 240),
        validation_row=np.tile(np.arange(240), 3),
        validation_fold=(fold.ravel() + 1) % 4,
        validation=np.tile(said, (3, 1)),
    )
    rows = (truth.astype(float), np.arange(240))
    blank = make_study({"tuned": 1.0})
    return replace(
        blank, outcome=rows[0], patient=rows[1], everyone=rows[0], everyone_patient=rows[1],
        strategies={"tuned": result},
    )  # fmt: skip


def test_correction_helps_who_is_too_sure():
    scores, refused = judged(study_of(3.0))
    assert scores[AS_IT_IS, "calibration_slope"].high < 0.7
    for method in ("temperature", "Platt"):
        slope = scores[method, "calibration_slope"]
        assert slope.low < 1 < slope.high
        assert scores[method, "log_loss"].change_high < 0
    assert refused == {
        "isotonic": "needs 1,000 validation patients for every model; one has 60",
    }


def test_correction_of_a_calibrated_model_changes_little():
    scores, _ = judged(study_of(1.0))
    assert np.isnan(scores[AS_IT_IS, "log_loss"].change)
    change = scores["temperature", "log_loss"]
    assert change.change_low < 0.02
    assert abs(change.change) < 0.03
