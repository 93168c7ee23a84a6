import runpy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom, t

from medgraft.cohorts.schema import Outcome
from medgraft.evaluation import intervals
from medgraft.evaluation.intervals import (
    Estimate,
    Resampled,
    Sample,
    by_run,
    draw,
    estimate,
    resample,
    training_factor,
)
from medgraft.evaluation.metrics.error import Mae
from medgraft.evaluation.metrics.ranking import Auroc
from medgraft.evaluation.predictions import learned_from
from medgraft.preparation.splits import Plan
from medgraft.preparation.splits import draw as draw_design


def alike(patients):
    """Patients of one class, one row each."""
    return Sample(np.arange(patients), patients)


def mean_study(values, draws=4000):
    """The mean of values [K, n] as a statistic, one patient per row."""
    statistic = {"mean": lambda weight: weight @ values.T / weight.sum(axis=1, keepdims=True)}
    return resample(statistic, alike(values.shape[1]), draws=draws, seed=0)["mean"]


def test_rows_of_patient_share_weight():
    patient = np.array([2, 0, 1, 0, 2, 2])
    weight = np.concatenate(list(draw(patient, draws=50, seed=1)))
    np.testing.assert_array_equal(weight[:, [1, 0, 0]], weight[:, [3, 4, 5]])
    np.testing.assert_array_equal(weight[:, [0, 1, 2]].sum(axis=1), 2)


def test_chunks_do_not_change_draws(monkeypatch):
    patient = np.arange(30)
    whole = np.concatenate(list(draw(patient, draws=40, seed=3)))
    monkeypatch.setattr(intervals, "IN_CACHE", 1)
    monkeypatch.setattr(intervals, "IN_MEMORY", 30 * 7)
    pieces = list(draw(patient, draws=40, seed=3))
    assert max(len(piece) for piece in pieces) == 7
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_one_run_equals_student_t():
    values = np.random.default_rng(2).standard_normal((1, 30))
    found = estimate(mean_study(values, draws=40_000))
    expected = t.interval(0.95, 29, values.mean(), values.std(ddof=1) / np.sqrt(30))
    # 40,000 draws know a standard deviation to 0.35 %; 2 % is over five times that.
    np.testing.assert_allclose(found.interval(), expected, atol=0.02 * np.ptp(expected))


def test_same_patients_equal_student_over_runs():
    values = np.random.default_rng(3).standard_normal((8, 1)) + np.zeros(20)
    found = estimate(mean_study(values, draws=50))
    expected = t.interval(0.95, 7, values[:, 0].mean(), values[:, 0].std(ddof=1) / np.sqrt(8))
    np.testing.assert_allclose(found.interval(), expected)


def test_interaction_counts_once():
    values = np.random.default_rng(4).standard_normal((10, 200))
    found = estimate(mean_study(values, draws=20_000))
    rows, columns = values.mean(axis=0), values.mean(axis=1)
    residual = values - rows - columns[:, None] + values.mean()
    expected = (residual**2).sum() / (199 * 9) / 2000
    assert found.interaction == pytest.approx(expected, rel=0.05)


def test_training_counts_as_nadeau_and_bengio_count_it():
    # A tenth of 100 patients tests, 90 train: the correlated part of their variance is
    # n2/n1 of a test's s²/n2, that is s²/90.
    patient = np.arange(100)
    tested = np.split(patient, 10)
    trained = [np.setdiff1d(patient, rows) for rows in tested]
    assert training_factor(patient, tested, trained) / 100 == pytest.approx(1 / 90)


def test_training_of_others_comes_on_top():
    # A given split: 20 test, 60 others train.
    factor = training_factor(np.arange(80), [range(20)] * 3, [range(20, 80)] * 3)
    assert factor / 20 == pytest.approx(1 / 20 + 1 / 60)


def test_who_stops_the_training_was_learned_from():
    """40 rows: every replica learns from 24 patients and is stopped by 8, a fifth of all tests."""
    design = draw_design(
        np.arange(40), np.arange(40) % 2.0, Outcome("ill", "binary", ("no", "yes")),
        Plan(runs=2, folds=5, validation_fraction=0.25, sources=1, seed=0),
    ).filter(pl.col("use") == "compare")  # fmt: skip
    tested, learned = design["test"].to_list(), learned_from(design)
    assert training_factor(np.arange(40), tested, learned) == pytest.approx(5 / 4)
    assert training_factor(np.arange(40), tested, design["train"].to_list()) == pytest.approx(5 / 3)


def test_training_leaves_chance_of_runs_alone():
    values = np.random.default_rng(9).standard_normal((6, 50))
    found = mean_study(values)
    plain, trained = estimate(found), estimate(replace(found, training=1.7))
    assert trained.interaction == plain.interaction
    assert trained.of_patients - trained.interaction == pytest.approx(
        1.7 * (plain.of_patients - plain.interaction)
    )


@pytest.mark.parametrize("value", [0.0, 0.3, 0.9, 2.5, 40.0])
def test_p_and_interval_agree(value):
    found = Estimate(value, 0.2, 0.3, 0.05, fewest=40, runs=5)
    assert found.error == pytest.approx(np.sqrt(0.45))
    edge = found.interval(1 - found.p)[0]
    assert edge == pytest.approx(0, abs=1e-6)
    assert (found.p < 0.05) == (found.interval()[0] > 0)


@pytest.mark.parametrize("runs", [2, 3, 4, 6, 10, 11, 60])
@pytest.mark.parametrize("errors", [0.1, 1.0, 5.0, 1e80])
def test_p_equals_student_where_only_runs_vary(runs, errors):
    found = Estimate(errors, 0.0, 1.0, 0.0, fewest=50, runs=runs)
    expected = max(2 * t.sf(errors, runs - 1), 1e-50)
    assert found.p == pytest.approx(expected, rel=1e-6)


def test_identical_strategies_have_p_one():
    values = np.random.default_rng(5).standard_normal((4, 20))
    found = estimate(mean_study(values) - mean_study(values))
    assert (found.value, found.p, found.interval()) == (0.0, 1.0, (0.0, 0.0))


def test_undefined_draws_are_counted():
    outcome, prediction = np.array([1.0, 0.0, 0.0, 0.0]), np.full((3, 4, 2), 0.5)
    fold = np.zeros((3, 4), dtype=np.int64)
    statistic = partial(by_run, metric=Auroc(), outcome=outcome, prediction=prediction, fold=fold)
    found = resample({0: statistic}, alike(4), draws=20_000, seed=6)[0]
    # All three draws miss the case, or all three are the case.
    share = (3 / 4) ** 3 + (1 / 4) ** 3
    low, high = binom.ppf([0.00005, 0.99995], 20_000, share)
    assert low <= found.undefined <= high
    assert estimate(found).value == 0.5
    assert np.isnan(estimate(found).interval()).all()


def test_few_undefined_draws_are_left_out():
    draws = np.random.default_rng(7).standard_normal((1000, 3))
    holed = draws.copy()
    holed[:50, 1] = np.nan
    left = estimate(Resampled(np.ones(3), holed, 30))
    assert left.of_patients == estimate(Resampled(np.ones(3), draws[50:], 30)).of_patients


def test_undefined_run_makes_estimate_undefined():
    found = estimate(Resampled(np.array([0.5, np.nan]), np.zeros((10, 2)), 5))
    assert np.isnan([found.value, *found.interval(), found.p]).all()


def test_metric_is_computed_per_run():
    outcome, prediction = np.zeros(3), np.array([[[1.0]] * 3, [[4.0]] * 3])
    fold = np.zeros((2, 3), dtype=np.int64)
    found = by_run(np.ones((5, 3)), metric=Mae(), outcome=outcome, prediction=prediction, fold=fold)
    np.testing.assert_array_equal(found, np.tile([1.0, 4.0], (5, 1)))


@pytest.fixture(scope="module")
def simulation():
    return runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "intervals.py"))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(40, 10), (100, 5)], ids=str)
def test_intervals_cover_the_truth(simulation, size):
    studies = 1200
    # Where true coverage is 95 %, one of the 12 settings falls under this once in 2,000 seeds.
    least = binom.ppf(0.0005 / 12, studies, 0.95) / studies
    for spread in simulation["SPREADS"].values():
        found = simulation["coverage"](size, spread, studies=studies, draws=400, seed=21)
        assert found["medgraft"][0] >= least


@pytest.mark.slow
def test_percentiles_of_few_runs_fail(simulation):
    spread = simulation["SPREADS"]["runs"]
    found = simulation["coverage"]((40, 5), spread, studies=500, draws=800, seed=21)
    assert found["percentile"][0] < 0.9 < found["medgraft"][0]
