"""Thresholds: chosen on validation patients, kept or not in the test."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score

from medgraft.evaluation.thresholds import highest, threshold

from .planted import make_study


def judged(study, sensitivity=0.9):
    return threshold(study, "tuned", sensitivity=sensitivity, draws=300, seed=0)


@pytest.mark.parametrize(
    ("sensitivity", "expected"), [(1.0, 0.2), (0.75, 0.4), (0.5, 0.6), (0.6, 0.4)]
)
def test_highest_threshold_that_flags_enough(sensitivity, expected):
    probability = np.array([0.2, 0.4, 0.6, 0.8, 0.9, 0.1])
    case = np.array([1, 1, 1, 1, 0, 0], dtype=bool)
    assert highest(probability, case, sensitivity=sensitivity) == expected


def test_rates_are_those_of_sklearn():
    study = make_study({"tuned": 1.0})
    found = judged(study)
    result = study.strategies["tuned"]
    expected = {"sensitivity": [], "PPV": []}
    for run in range(6):
        flagged = np.zeros(60)
        for r, fold, rows, said in result.validated():
            if r == run:
                case = study.everyone[rows] == 1
                at = highest(said[:, 1], case, sensitivity=0.9)
                mine = result.fold[run] == fold
                flagged[mine] = result.test[run, mine, 1] >= at
        expected["sensitivity"].append(recall_score(study.outcome, flagged))
        expected["PPV"].append(precision_score(study.outcome, flagged))
    rates = {rate.name: rate for rate in found.rates}
    for name, values in expected.items():
        assert rates[name].value == pytest.approx(np.mean(values))
        assert rates[name].low <= rates[name].value <= rates[name].high


def test_higher_sensitivity_flags_more():
    study = make_study({"tuned": 0.5})
    shares = [
        next(rate.value for rate in judged(study, wanted).rates if rate.name == "flagged")
        for wanted in (0.5, 0.7, 0.95)
    ]
    assert shares == sorted(shares)
    assert shares[0] < shares[2]


def test_few_cases_are_refused():
    study = make_study({"tuned": 1.0})
    few = np.where(np.arange(60) < 57, 0.0, 1.0)
    assert judged(replace(study, everyone=few)) == (
        "it needs 5 validation cases in every fold; one has 1"
    )


def test_value_has_no_threshold():
    study = replace(make_study({"tuned": 1.0}), task="regression")
    assert judged(study) == "a threshold needs two classes, the outcome is regression"
