import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from medgraft.evaluation.intervals import Sample, estimate, resample
from medgraft.evaluation.utility import ALL, NONE, THRESHOLDS, decision_curves, estimate_mean, gains

from .planted import make_study

OUTCOME = np.repeat([0.0, 1.0], 30)


def benefit(outcome, probability, threshold: float) -> float:
    return float(gains(outcome, probability, threshold).mean())


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.9])
def test_net_benefit_is_that_of_sklearns_counts(threshold):
    said = np.random.default_rng(0).uniform(size=60)
    (_, false), (_, true) = confusion_matrix(OUTCOME, said >= threshold)
    expected = true / 60 - false / 60 * threshold / (1 - threshold)
    assert benefit(OUTCOME, said, threshold) == pytest.approx(expected, abs=1e-15)


def test_published_test_of_ninety_percent():
    """Sensitivity and specificity 0.9 at prevalence 0.5: Rousson & Zumbrunn 2011, figure 5."""
    said = np.where(np.arange(60) % 10 == 0, 1 - OUTCOME, OUTCOME)
    assert benefit(OUTCOME, said, 0.2) == pytest.approx(0.45 - 0.05 / 4)
    assert benefit(OUTCOME, said, 0.8) == pytest.approx(0.45 - 0.05 * 4)


def test_net_benefit_is_that_of_dcurves():
    """dca() of the package dcurves 1.1.7, run on 2026-11-25."""
    cases = (np.arange(20) < 8).astype(float)
    percent = [90, 80, 70, 35, 60, 20, 55, 45, 10, 30, 65, 5, 40, 15, 25, 50, 75, 12, 33, 2]
    risk = np.array(percent) / 100
    assert benefit(cases, risk, 0.38) == pytest.approx(0.177419, abs=1e-6)
    assert benefit(cases, risk, 0.7) == pytest.approx(0.033333, abs=1e-6)  # one risk equals it
    assert benefit(cases, np.ones(20), 0.38) == pytest.approx(0.032258, abs=1e-6)


def test_treating_all_breaks_even_at_the_prevalence():
    rare = (np.arange(60) < 12).astype(float)
    assert benefit(rare, np.ones(60), 0.2) == pytest.approx(0)
    assert benefit(rare, np.ones(60), 0.1) == pytest.approx((0.2 - 0.1) / 0.9)


def test_perfect_model_gains_the_prevalence_at_every_threshold():
    assert {benefit(OUTCOME, OUTCOME, t) for t in THRESHOLDS} == {0.5}


@pytest.mark.parametrize("runs", [1, 6])
def test_closed_form_is_the_limit_of_draws(runs):
    """Rows of one patient together, patients of one to three rows: as `intervals` resamples."""
    generator = np.random.default_rng(1)
    patient = np.repeat(np.arange(60), generator.integers(1, 4, size=60))
    value = generator.normal(size=(60,))[patient] + generator.normal(size=(runs, len(patient)))

    def mean(weight):
        return weight @ value.T / weight.sum(axis=1, keepdims=True)

    sample = Sample(patient, 60, training=1.4)
    drawn = estimate(resample({0: mean}, sample, draws=20_000, seed=0)[0])
    exact = estimate_mean(value, sample)
    assert exact.value == pytest.approx(drawn.value)
    assert exact.of_runs == pytest.approx(drawn.of_runs)
    assert exact.of_patients == pytest.approx(drawn.of_patients, rel=0.05)
    assert exact.interaction == pytest.approx(drawn.interaction, rel=0.05)


def test_useful_model_beats_all_and_none():
    curves = decision_curves(make_study({"scratch": 0.0, "tuned": 3.0}), ["tuned", "scratch"])
    half = THRESHOLDS.index(0.5)
    assert list(curves) == ["tuned", "scratch", ALL]
    tuned = curves["tuned"]
    assert list(tuned.more_than) == ["scratch", ALL, NONE]
    assert tuned.beats("scratch", ALL, NONE)[half]
    assert tuned.benefit.low[half] < tuned.benefit.value[half] < tuned.benefit.high[half]
    assert tuned.more_than[NONE] == tuned.benefit
    turned = np.negative(curves["scratch"].more_than["tuned"].low)
    np.testing.assert_allclose(tuned.more_than["scratch"].high, turned)
    assert curves[ALL].benefit.value[half] == pytest.approx(0)


def test_same_model_beats_nobody():
    study = make_study({"scratch": 1.0})
    study.strategies["copy"] = study.strategies["scratch"]
    curves = decision_curves(study, ["copy", "scratch"])
    assert not any(curves["copy"].beats("scratch"))


def test_one_patient_has_no_interval():
    assert np.isnan(estimate_mean(np.ones((2, 3)), Sample(np.zeros(3, int), 1)).interval()).all()
