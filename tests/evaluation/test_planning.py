import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import binom
from statsmodels.stats.power import TTestPower

from medgraft.evaluation.intervals import Estimate, Sample
from medgraft.evaluation.metrics.ranking import Auroc
from medgraft.evaluation.planning import Plan, enlarged, outlook, plan, said
from medgraft.evaluation.power import power
from medgraft.evaluation.summary import evaluate
from medgraft.evaluation.utility import estimate_mean

from .planted import make_study

# What varies: patients, runs, their interaction (variances of a single prediction's difference).
TRUTHS = {
    "patients": (1.0, 0.0, 0.0),
    "patients, few runs": (1.0, 0.01, 0.2),
    "mostly interaction": (0.2, 0.002, 2.0),
    "all": (1.0, 0.005, 1.0),
}


def truth(parts, *, n: float, runs: int, effect: float) -> Estimate:
    """What the study would know if it knew the variances."""
    a, b, e = parts
    both = e / (n * runs)
    return Estimate(effect, a / n + both, b / runs + both, both, round(n), runs)


def study(parts, generator, *, n: int, runs: int, effect: float) -> Estimate:
    a, b, e = np.sqrt(parts)
    value = effect + a * generator.normal(size=n) + b * generator.normal(size=(runs, 1))
    value = value + e * generator.normal(size=(runs, n))
    return estimate_mean(value, Sample(np.arange(n), n))


def found_of(parts, *, n: int, runs: int, effect: float, level: float, studies: int) -> int:
    """How many of so many simulated studies tell the effect, on its side."""
    generator = np.random.default_rng([n, runs])
    each = (study(parts, generator, n=n, runs=runs, effect=effect) for _ in range(studies))
    return sum(one.p < level and one.value > 0 for one in each)


def only_patients(n: int) -> Estimate:
    return truth(TRUTHS["patients"], n=n, runs=1, effect=0.3)


@pytest.mark.parametrize(("n", "effect"), [(20, 0.5), (50, 0.3), (12, 1.2)])
def test_power_is_statsmodels(n, effect):
    expected = TTestPower().power(effect, n, 0.05, alternative="two-sided")
    assert power(only_patients(n), effect, level=0.05) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("effect", "level"), [(0.5, 0.05), (0.3, 0.05), (0.4, 0.05 / 9)])
def test_patients_needed_are_statsmodels(effect, level):
    expected = TTestPower().solve_power(effect, power=0.8, alpha=level)
    comparisons = round(0.05 / level)
    found = plan("x", only_patients(25), comparisons=comparisons, patients=25, worthwhile=effect)
    assert found.patients == math.ceil(expected)


def test_outlook_is_what_studies_of_that_size_would_have():
    """Patients alone vary: the half-width is Student's, and the power that of the planned study."""
    found = outlook(only_patients(50), 0.3, level=0.05 / 3, patients=50)
    n = np.array(found.patients)
    assert {25, 50, 5000} <= set(found.patients)
    np.testing.assert_allclose(found.half_width, -stdtrit(n - 1, 0.025) / np.sqrt(n))
    planned = plan("x", only_patients(50), comparisons=3, patients=50, worthwhile=0.3)
    assert planned.outlook == found
    reached = np.interp(planned.patients, n, found.power)
    assert reached == pytest.approx(0.8, abs=0.01)
    assert found.power[found.patients.index(50)] == planned.now


def test_enlarged_study_has_the_variances_of_one_that_large():
    parts = TRUTHS["all"]
    small, large = (truth(parts, n=n, runs=k, effect=0.1) for n, k in ((40, 5), (120, 10)))
    grown = enlarged(small, patients=3, runs=2)
    for name in ("of_patients", "of_runs", "interaction", "fewest", "runs"):
        assert getattr(grown, name) == pytest.approx(getattr(large, name))


def test_what_having_trained_adds_shrinks_with_patients():
    twice = Estimate.combine(
        0.1, of_patients=0.02, of_runs=0.0, interaction=0.0, fewest=50, training=1.5, runs=5
    )
    assert enlarged(twice, patients=2).error ** 2 == pytest.approx(0.015)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize("runs", [5, 10])
def test_planned_study_has_eighty_percent_power(name, runs):
    """1,000 studies of the planned size; the approximation is off by 2 % of power at most.

    Beyond that, these bounds are left with a probability of 0.1 %.
    """
    now = truth(TRUTHS[name], n=60, runs=runs, effect=0.25)
    planned = plan("x", now, comparisons=3, patients=60, worthwhile=0.25)
    n = int(planned.patients)
    told = found_of(TRUTHS[name], n=n, runs=runs, effect=0.25, level=0.05 / 3, studies=1000)
    reached = power(truth(TRUTHS[name], n=n, runs=runs, effect=0.25), 0.25, level=0.05 / 3)
    assert 0.8 <= reached + 1e-3 < 0.83
    low, high = binom.ppf(0.0005, 1000, 0.78), binom.ppf(0.9995, 1000, reached + 0.02)
    assert low <= told <= high


def test_planned_runs_have_eighty_percent_power():
    """As with patients, below."""
    parts = (0.2, 0.05, 1.0)
    now = truth(parts, n=60, runs=3, effect=0.25)
    planned = plan("x", now, comparisons=1, patients=60, worthwhile=0.25)
    assert math.isinf(planned.patients)
    runs = int(planned.runs)
    told = found_of(parts, n=60, runs=runs, effect=0.25, level=0.05, studies=1000)
    reached = power(truth(parts, n=60, runs=runs, effect=0.25), 0.25, level=0.05)
    low, high = binom.ppf(0.0005, 1000, 0.78), binom.ppf(0.9995, 1000, reached + 0.02)
    assert low <= told <= high
    assert said(planned, metric="AUROC").startswith("no number of patients")


@pytest.mark.slow
@pytest.mark.parametrize("declared", [True, False])
def test_interval_holds_the_number_truly_needed(declared):
    """200 studies of 40 patients: at least 89 % of the intervals hold what the truth needs.

    With 95 % coverage fewer come with a probability of 0.1 %.
    """
    parts, effect = TRUTHS["patients, few runs"], 0.35
    needed = plan(
        "x", truth(parts, n=40, runs=5, effect=effect), comparisons=3, patients=40,
        worthwhile=effect,
    ).patients  # fmt: skip
    generator = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        one = study(parts, generator, n=40, runs=5, effect=effect)
        found = plan("x", one, comparisons=3, patients=40, worthwhile=effect if declared else None)
        held += found.low <= needed <= found.high
    assert held >= binom.ppf(0.001, 200, 0.95)


def test_difference_of_zero_is_never_told():
    found = plan("x", truth(TRUTHS["all"], n=60, runs=5, effect=0.0), comparisons=1, patients=60)
    assert math.isinf(found.patients)
    assert math.isinf(found.runs)
    assert said(found, metric="AUROC").endswith("it is too near 0")


def test_undefined_error_has_no_plan():
    lost = replace(only_patients(20), of_patients=math.nan)
    assert plan("x", lost, comparisons=1, patients=20) is None
    assert plan("x", replace(lost, of_patients=0.0), comparisons=1, patients=20) is None


PLAN = Plan("tuned", 0.05, False, 0.2, 340.0, 120.0, math.inf, math.inf, 72, 10)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {},
            "about 340 target patients (95 % CI: at least 120; no upper limit) would tell a "
            "difference of 0.050 in AUROC (the one seen, if it is real) four times out of five",
        ),
        (
            {"declared": True, "high": 900.0, "runs": 40.0},
            "about 340 target patients (95 % CI 120 to 900), or 40 runs on the same patients, "
            "would tell a difference of 0.050 in AUROC, declared worth having, four times out of "
            "five",
        ),
        (
            {"low": math.inf},
            "about 340 target patients (95 % CI: more than 7,200) would tell a difference of 0.050 "
            "in AUROC (the one seen, if it is real) four times out of five",
        ),
        (
            {"patients": math.inf, "together": 3.24},
            "neither more patients nor more runs alone would tell a difference of 0.050 in AUROC "
            "(the one seen, if it is real); about 3.2 times as many of both would",
        ),
        (
            {"declared": True, "patients": 50.0},
            "this study was large enough to find a difference of 0.050 in AUROC, declared worth "
            "having, four times out of five",
        ),
    ],
)
def test_sentence_says_how_many(changes, sentence):
    assert said(replace(PLAN, **changes), metric="AUROC") == sentence


def test_verdict_that_cannot_tell_says_how_many():
    study = make_study({"scratch": 1.0, "tuned": 1.05})
    result = evaluate(
        study, {"auroc": Auroc()}, primary="auroc", reference="scratch", draws=300, seed=1,
        worthwhile=0.1,
    )  # fmt: skip
    assert result.verdict["strategies"]["tuned"]["verdict"] == "cannot tell"
    assert "a difference of 0.100 in AUROC, declared worth having" in result.verdict["sentence"]
    assert result.plans["tuned"].declared


def test_verdict_that_helps_says_nothing_of_it():
    study = make_study({"scratch": 0.0, "tuned": 3.0})
    result = evaluate(
        study, {"auroc": Auroc()}, primary="auroc", reference="scratch", draws=300, seed=1
    )
    assert result.verdict["sentence"].startswith("Transfer learning helps")
    assert "four times out of five" not in result.verdict["sentence"]
