"""Prediction sets: the guarantee, what they refuse, and what is counted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from medgraft.evaluation.conformal import (
    EACH,
    EVERYONE,
    _among,
    _by_class,
    _thresholds,
    conformal,
)
from medgraft.evaluation.exchangeable import least, threshold

from .planted import make_study


@pytest.mark.parametrize(("patients", "level"), [(9, 0.9), (30, 0.9), (50, 0.8)])
def test_coverage_is_the_exact_one(patients, level):
    """ceil((n + 1) level) / (n + 1) of exchangeable patients: Vovk et al. 2005, proposition 2.3."""
    stream, studies = np.random.default_rng(0), 4000
    held = sum(
        scores[-1] <= threshold(scores[:-1], level)
        for scores in stream.normal(size=(studies, patients + 1))
    )
    expected = np.ceil((patients + 1) * level) / (patients + 1)
    # Fails by chance once in a million.
    assert binom.ppf(5e-7, studies, expected) <= held <= binom.ppf(1 - 5e-7, studies, expected)


@pytest.mark.parametrize(("level", "patients"), [(0.9, 9), (0.8, 4), (0.95, 19)])
def test_fewer_patients_keep_everything(level, patients):
    assert least(level) == patients
    assert np.isfinite(threshold(np.zeros(patients), level))
    assert threshold(np.zeros(patients - 1), level) == np.inf


@pytest.mark.parametrize(("level", "kept"), [(0.8, 17), (0.9, 19), (0.95, 20)])
def test_sets_keep_what_those_of_crepes_keep(level, kept):
    """ConformalClassifier of the package crepes 0.9.1, without smoothing, run on 2026-11-26."""
    scores = np.array([37 * i % 101 / 101 for i in range(1, 40)])
    assert (np.linspace(0, 1, 21) <= threshold(scores, level)).sum() == kept


def three_classes():
    """60 rows that calibrate and 30 that are tested, of three classes, without any chance."""
    row, label = np.arange(90), np.arange(3)
    truth = row % 3
    said = 1.0 + (37 * row[:, None] + 17 * label) % 11 + 6 * (truth[:, None] == label)
    said /= said.sum(axis=1, keepdims=True)
    study = make_study({"tuned": 1.0})
    result = replace(
        study.strategies["tuned"],
        test=said[None, 60:],
        fold=np.zeros((1, 30), dtype=int),
        validation_run=np.zeros(60, dtype=int),
        validation_row=row[:60],
        validation_fold=np.zeros(60, dtype=int),
        validation=said[:60],
    )
    return replace(
        study, task="multiclass", classes=("a", "b", "c"), strategies={"tuned": result},
        outcome=truth[60:].astype(float), patient=np.arange(30),
        everyone=truth.astype(float), everyone_patient=row,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("level", "split", "by_class"),
    [(0.8, [12, 16, 11], [11, 19, 9]), (0.9, [12, 19, 16], [12, 20, 19])],
)
def test_classes_are_kept_as_often_as_crepes_keeps_them(level, split, by_class):
    """ConformalClassifier of crepes 0.9.1, without smoothing; by class with the class as its bin.

    Run on 2026-11-26.
    """
    study = three_classes()
    result = study.strategies["tuned"]
    plain = 1 - result.test <= _thresholds(study, result, level)[:, :, None]
    each = 1 - result.test <= _by_class(study, result, level)
    assert plain.sum(axis=(0, 1)).tolist() == split
    assert each.sum(axis=(0, 1)).tolist() == by_class


def test_sets_by_class_are_those_of_crepes():
    study = three_classes()
    result = study.strategies["tuned"]
    kept = (1 - result.test <= _by_class(study, result, 0.8))[0]
    assert ["".join(name for name, k in zip("abc", row, strict=True) if k) for row in kept] == (
        "a b c a b c ab b c ab b c ab b a ab b bc b b bc a - bc a ab bc a b bc"
    ).replace("-", "").split(" ")


@pytest.mark.parametrize(("level", "reach"), [(0.8, 0.41089109), (0.9, 0.46039604)])
def test_intervals_reach_as_far_as_those_of_crepes(level, reach):
    """ConformalRegressor of crepes 0.9.1, run on 2026-11-26.

    38 patients, as of 39 it truncates (n + 1)(1 - level), 7.999..., and keeps one rank too many.
    """
    errors = np.array([37 * i % 101 / 101 for i in range(1, 39)]) - 0.5
    assert threshold(np.abs(errors), level) == pytest.approx(reach, abs=1e-8)


def found(study, level=0.9, groups=None):
    return conformal(study, "tuned", level=level, groups=groups or {})


def test_sets_of_a_sound_model_hold_the_truth():
    sets = found(make_study({"tuned": 1.0}))
    (everyone,) = (c for c in sets.coverage if (c.method, c.group) == ("split", EVERYONE))
    assert everyone.low <= 15 / 16 <= everyone.high  # of 15 who calibrate
    assert sum(sets.sizes["split"]) == pytest.approx(1)
    assert sets.calibrated_on == (15, 15)


def test_surer_answers_make_smaller_sets():
    vague, sure = (found(make_study({"tuned": strength})) for strength in (0.2, 2.0))
    assert vague.sizes["split"][2] > sure.sizes["split"][2] + 0.2


def test_rare_class_is_held_by_class_conditional_sets_alone():
    """90 ill of 600, told poorly: the plain sets keep the many and drop the few."""
    study = rare(np.random.default_rng(3))
    sets = found(study)
    ill = {c.method: c for c in sets.coverage if c.group == "yes"}
    assert ill["split"].high < 0.8
    # 22 or 23 ill patients calibrate a fold: 21 of 23, or 22 of 24, are to be expected.
    assert ill[EACH].low <= 22 / 24 <= ill[EACH].high


def rare(stream):
    study = make_study({"tuned": 1.0})
    outcome = (np.arange(600) % 20 < 3).astype(float)
    logit = -2.2 + 0.8 * (outcome * 2 - 1)[None] + 0.5 * stream.normal(size=(2, 600))
    test = np.stack([1 / (1 + np.exp(logit)), 1 / (1 + np.exp(-logit))], axis=2)
    fold = np.tile(np.arange(600) // 150, (2, 1))
    result = replace(
        study.strategies["tuned"],
        test=test,
        fold=fold,
        validation_run=np.repeat([0, 1], 600),
        validation_row=np.tile(np.arange(600), 2),
        validation_fold=(fold.ravel() + 1) % 4,
        validation=test.reshape(1200, 2),
    )
    rows = {"outcome": outcome, "patient": np.arange(600)}
    everyone = {"everyone": outcome, "everyone_patient": np.arange(600)}
    return replace(study, **rows, **everyone, strategies={"tuned": result})


def test_few_validation_patients_are_refused():
    assert found(make_study({"tuned": 1.0}), level=0.95) == (
        "sets at 95% need 19 validation patients for every model; the fewest are 15"
    )


def test_few_of_a_class_leave_the_class_out():
    sets = found(make_study({"tuned": 1.0}))
    (missing,) = (c for c in sets.coverage if c.method == EACH)
    assert missing.why == "needs 9 validation patients of each class for every model; one has 7"
    assert np.isnan(missing.value)


def test_small_group_gets_no_coverage():
    labels = np.array(["old"] * 45 + ["young"] * 12 + [""] * 3, dtype=object)
    sets = found(make_study({"tuned": 1.0}), groups={"age": labels})
    told = {c.group: c for c in sets.coverage if c.subgroup == "age"}
    assert (told["young"].patients, told["young"].why) == (12, "12 patients, 20 are needed")
    assert np.isnan(told["young"].value)
    assert told["old"].patients == 45
    assert 0.5 < told["old"].value < 1


def test_rows_of_a_patient_are_no_evidence_of_others():
    """Five equal rows a patient: ranking rows would let 15 of 100 truths escape, not 10."""
    stream, held, studies = np.random.default_rng(0), 0, 400
    for _ in range(studies):
        study = make_study({"tuned": 1.0})
        patient = np.repeat(np.arange(12), 5)
        risk = np.repeat(stream.uniform(0.05, 0.95, 12), 5)
        outcome = np.repeat((stream.random(12) < risk[::5]).astype(float), 5)
        test = np.stack([1 - risk, risk], axis=1)[None]
        result = replace(
            study.strategies["tuned"],
            test=test,
            fold=np.zeros((1, 60), dtype=int),
            validation_run=np.zeros(55, dtype=int),
            validation_row=np.arange(55),  # the last patient is tested
            validation_fold=np.zeros(55, dtype=int),
            validation=test[0, :55],
        )
        one = replace(
            study, outcome=outcome, patient=patient, everyone=outcome, everyone_patient=patient
        )
        reach = _thresholds(one, result, 0.9)[0, -1]
        held += 1 - test[0, -1, int(outcome[-1])] <= reach
    assert held >= binom.ppf(1e-6, studies, 0.9)


def test_nobody_missed_is_not_certainty():
    """25 of 25: Clopper & Pearson's lower end is 0.863."""
    study = make_study({"tuned": 1.0})
    hits = np.ones((6, 60), dtype=bool)
    rows = np.arange(60) < 25
    found = _among(study, "split", hits, subgroup="", group="", rows=rows)
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.863, abs=1e-3)


def test_survival_has_no_sets():
    study = replace(make_study({"tuned": 1.0}), task="survival")
    assert found(study).startswith("prediction sets are offered for classes and values")


def test_intervals_of_values_hold_them():
    stream = np.random.default_rng(5)
    study = make_study({"tuned": 1.0})
    said = stream.normal(size=60)
    outcome = said + stream.normal(size=60)
    test = np.tile(said[None, :, None], (6, 1, 1))
    result = replace(study.strategies["tuned"], test=test, validation=test.reshape(360, 1))
    values = replace(
        study, task="regression", classes=(), outcome=outcome, everyone=outcome,
        strategies={"tuned": result},
    )  # fmt: skip
    sets = found(values)
    (everyone,) = sets.coverage
    assert everyone.low <= 15 / 16 <= everyone.high  # of 15 who calibrate
    # 90 % of normal errors of deviation 1 lie within 3.3; 15 patients know that to about a quarter.
    assert sets.width == pytest.approx(3.29, rel=0.4)
