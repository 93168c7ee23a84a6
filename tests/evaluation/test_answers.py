"""How a shipped model answers: corrected where that helps, with sets that hold the truth."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from medgraft.evaluation.answers import learn_answers
from medgraft.evaluation.corrections import (
    AS_IT_IS,
    AsItIs,
    Isotonic,
    Platt,
    Temperature,
    correction_of,
    told,
)
from medgraft.evaluation.predictions import Study

from .planted import binary, result


def study_of(said: np.ndarray, outcome: np.ndarray, **facts) -> Study:
    """One strategy, two runs that said the same; a patient a row unless told otherwise."""
    tuned = result(np.stack([said, said]))
    patient = facts.pop("patient", np.arange(len(outcome)))
    rows = (outcome.astype(float), patient)
    given = {"task": "binary", "classes": ("well", "ill"), **facts}
    return Study(*rows, *rows, strategies={"tuned": tuned}, **given)


def cases(n: int, *, factor: float, shift: float = 0.0, seed: int = 0):
    """Logits `factor` times too large and too high by `shift`, and what came true."""
    stream = np.random.default_rng(seed)
    z = 1.5 * stream.normal(size=n)
    return binary(factor * z + shift), (stream.random(n) < expit(z)).astype(float)


@pytest.mark.parametrize("factor", [0.4, 4.0])
def test_wrong_certainty_is_corrected(factor):
    """Learned from 300 patients; 20,000 others then get a slope and intercept near 1 and 0."""
    learned = learn_answers(study_of(*cases(300, factor=factor)), "tuned", level=0.9)
    said, truth = cases(20_000, factor=factor, seed=1)
    corrected = correction_of(learned["correction"])(said)
    right = expit(logit(said[:, 1]) / factor)
    assert learned["correction"]["method"] != AS_IT_IS
    assert np.abs(corrected[:, 1] - right).mean() < 0.04 < np.abs(said[:, 1] - right).mean()
    assert abs(corrected[:, 1].mean() - truth.mean()) < 0.04


def test_wrong_level_is_corrected_by_an_intercept():
    learned = learn_answers(study_of(*cases(300, factor=1.0, shift=2.0)), "tuned", level=0.9)
    assert learned["correction"]["method"] == "Platt"
    assert learned["losses"]["Platt"] < learned["losses"]["temperature"]
    assert learned["correction"]["intercept"] == pytest.approx(-2, abs=0.6)


def test_calibrated_answers_stay_as_they_are():
    """Of 40 studies of 100 patients; chance asks for a correction in few."""
    chosen = [
        learn_answers(study_of(*cases(100, factor=1.0, seed=s)), "tuned", level=0.9)["correction"]
        for s in range(40)
    ]
    assert sum(one == {"method": AS_IT_IS} for one in chosen) >= 36


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_sets_hold_the_truth_of_others_as_often_as_asked(factor):
    """Mean over 60 studies of 80 patients, each judged on 500 others: 0.9 and at most 1/81 more."""
    held = []
    for seed in range(60):
        learned = learn_answers(study_of(*cases(80, factor=factor, seed=seed)), "tuned", level=0.9)
        said, truth = cases(500, factor=factor, seed=1000 + seed)
        of_truth = correction_of(learned["correction"])(said)[np.arange(500), truth.astype(int)]
        held.append((1 - of_truth <= learned["reach"]).mean())
    assert 0.885 < np.mean(held) < 0.93


def test_values_get_intervals():
    stream = np.random.default_rng(0)
    truth = stream.normal(size=500)
    study = study_of(
        (truth + stream.normal(size=500))[:, None], truth, task="regression", classes=()
    )
    learned = learn_answers(study, "tuned", level=0.9)
    assert learned["correction"] == {"method": AS_IT_IS}
    assert learned["reach"] == pytest.approx(1.645, abs=0.15)  # of a standard normal error


def test_patient_counts_once_however_many_rows():
    """One patient's hundred wrong rows must not widen everybody's sets."""
    said, truth = np.zeros((199, 1)), np.r_[np.linspace(0, 1, 99), np.full(100, 50.0)]
    patient = np.r_[np.arange(99), np.full(100, 99)]
    study = study_of(said, truth, task="regression", classes=(), patient=patient)
    assert learn_answers(study, "tuned", level=0.9)["reach"] == pytest.approx(90 / 98)


def test_too_few_patients_get_no_sets():
    learned = learn_answers(study_of(*cases(12, factor=1.0)), "tuned", level=0.95)
    assert learned["reach"] is None
    assert learned["why"] == "sets at 95% need 19 patients, there are 12"


def test_several_answers_are_left_as_they_are():
    said, truth = np.full((30, 2), 0.5), np.ones((30, 2))
    study = study_of(said, truth, task="multilabel", classes=("fever", "cough"))
    learned = learn_answers(study, "tuned", level=0.9)
    assert learned["correction"] == {"method": AS_IT_IS}
    assert learned["why"] == "sets are offered for classes and values, the outcome is multilabel"


@pytest.mark.parametrize(
    "correction",
    [AsItIs(), Temperature(2.0), Platt(0.3, 0.7), Isotonic([0.1, 0.5, 0.6], [0.0, 0.4, 1.0])],
)
def test_correction_survives_json(correction):
    said = binary(np.linspace(-9, 9, 25))
    again = correction_of(told(correction))
    assert again == correction
    np.testing.assert_array_equal(again(said), correction(said))
    np.testing.assert_allclose(again(said).sum(axis=1), 1)


def test_runs_are_averaged_before_anything_is_learned():
    """Two runs that disagree are one answer of 0.5, as the shipped model would give."""
    study = study_of(*cases(40, factor=1.0))
    sure = binary(np.full(40, 4.0))
    tuned = replace(study.strategies["tuned"], test=np.stack([sure, sure[:, ::-1]]))
    learned = learn_answers(replace(study, strategies={"tuned": tuned}), "tuned", level=0.9)
    assert learned["losses"][AS_IT_IS] == pytest.approx(np.log(2))
