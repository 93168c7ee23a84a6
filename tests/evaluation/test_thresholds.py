"""Thresholds: chosen on validation patients, kept or not in the test."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score

from medgraft.evaluation.thresholds import Cost, Sensitivity, threshold

from .planted import make_study


def judged(study, sensitivity=0.9):
    return threshold(study, "tuned", aim=Sensitivity(sensitivity), draws=300, seed=0)


@pytest.mark.parametrize(
    ("sensitivity", "expected"), [(1.0, 0.2), (0.75, 0.4), (0.5, 0.6), (0.6, 0.4)]
)
def test_highest_threshold_that_flags_enough(sensitivity, expected):
    probability = np.array([0.2, 0.4, 0.6, 0.8, 0.9, 0.1])
    case = np.array([1, 1, 1, 1, 0, 0], dtype=bool)
    assert Sensitivity(sensitivity).choose(probability, case) == expected


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
                at = Sensitivity(0.9).choose(said[:, 1], case)
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


def test_all_spared_is_not_certain():
    """Nobody wrongly flagged: the resampled share is always 1. Clopper & Pearson: .025 ** (1/n)."""
    study = make_study({"tuned": 50.0})
    spared = next(rate for rate in judged(study, 0.5).rates if rate.name == "specificity")
    others = int((study.outcome == 0).sum())
    assert (spared.value, spared.high) == (1.0, 1.0)
    assert spared.low == pytest.approx(0.025 ** (1 / others))


def test_few_cases_are_refused():
    study = make_study({"tuned": 1.0})
    few = np.where(np.arange(60) < 57, 0.0, 1.0)
    assert judged(replace(study, everyone=few)) == (
        "it needs 5 validation cases for every model; one has 1"
    )


def test_value_has_no_threshold():
    study = replace(make_study({"tuned": 1.0}), task="regression")
    assert judged(study) == "a threshold needs two classes, the outcome is regression"


@pytest.mark.parametrize("wanted", [0.1, 1.0, 7.0])
@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_costs_less(seed, wanted):
    """Against every threshold there is, on values with ties."""
    random = np.random.default_rng(seed)
    probability, case = random.integers(8, size=30) / 8, random.random(30) < 0.4
    aim = Cost(wanted)
    cost = [aim.of(probability >= at, case).sum() for at in [*np.unique(probability), np.inf]]
    assert aim.of(probability >= aim.choose(probability, case), case).sum() == min(cost)


def test_calibrated_risk_is_cut_where_costs_balance():
    """Elkan 2001: at the risk 1 / (1 + cost)."""
    random = np.random.default_rng(0)
    risk = random.random(400_000)
    assert Cost(4.0).choose(risk, random.random(len(risk)) < risk) == pytest.approx(0.2, abs=0.02)


def test_cost_of_test_patients_is_counted():
    study, aim = make_study({"tuned": 1.0}), Cost(3.0)
    found = threshold(study, "tuned", aim=aim, draws=300, seed=0)
    rates = {rate.name: rate for rate in found.rates}
    case = study.outcome == 1
    missed, alarms = (
        (1 - rates["sensitivity"].value) * case.mean(),
        (1 - rates["specificity"].value) * (~case).mean(),
    )
    assert rates["cost"].value == pytest.approx(3 * missed + alarms)
    assert rates["cost"].low < rates["cost"].value < rates["cost"].high
    assert aim.without_model(case) == {"all": (~case).mean(), "none": 3 * case.mean()}
