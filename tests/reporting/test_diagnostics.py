import dataclasses

import numpy as np
import polars as pl
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve
from statsmodels.stats.proportion import proportion_confint

from medgraft.reporting import diagnostics

from .simulated import METRICS, STRATEGIES, simulate


def test_wilson_agrees_with_statsmodels():
    cases = np.array([0.0, 3, 7, 12])
    ours = diagnostics.wilson(cases / 12, np.full(4, 12.0))
    np.testing.assert_allclose(ours, proportion_confint(cases, 12, method="wilson"), atol=1e-12)


def test_bins_agree_with_sklearn():
    generator = np.random.default_rng(0)
    said = generator.uniform(size=120)
    came = (generator.uniform(size=120) < said).astype(float)
    centre, share, rows = diagnostics.equal_bins(said, came).T
    observed, expected = calibration_curve(came, said, n_bins=10, strategy="quantile")
    np.testing.assert_allclose((share, centre), (observed, expected), rtol=1e-12)
    assert rows.tolist() == [12] * 10


@pytest.mark.parametrize("rows", [1, 13, 72, 1000])
def test_bins_lose_no_row(rows):
    said = np.linspace(0, 1, rows)
    assert diagnostics.equal_bins(said, said)[:, 2].sum() == rows


def test_roc_of_one_fold_is_sklearns(binary):
    result = binary.study.strategies["scratch"]
    one = dataclasses.replace(result, test=result.test[:1], fold=np.zeros_like(result.fold[:1]))
    false, true, _ = roc_curve(binary.study.outcome, one.test[0, :, 1], drop_intermediate=False)
    ours = diagnostics.mean_roc(binary.study, one)
    np.testing.assert_allclose(ours, np.interp(diagnostics.GRID, false, true), atol=1e-12)


@pytest.mark.parametrize("name", STRATEGIES)
def test_area_is_the_reported_auroc(binary, name):
    this = (pl.col("strategy") == name) & (pl.col("metric") == "auroc")
    reported = binary.evaluation.metrics.filter(this)["value"].item()
    result = binary.study.strategies[name]
    assert diagnostics.mean_area(binary.study, result) == pytest.approx(reported, abs=1e-12)
    # A step between two of the 501 grid points is off by at most their distance.
    drawn = np.trapezoid(diagnostics.mean_roc(binary.study, result), diagnostics.GRID)
    assert drawn == pytest.approx(reported, abs=1 / 500)


def test_roc_shows_at_most_four(tmp_path):
    many = {f"{name}_{i}": about for i in range(3) for name, about in STRATEGIES.items()}
    study = simulate(tmp_path, strategies={**STRATEGIES, **many})
    names = diagnostics.of_interest(study.study, study.evaluation, METRICS["auroc"])
    assert len(names) <= 4
    assert {"scratch", study.evaluation.champion.strategy} <= set(names)


def test_one_class_has_no_roc(tmp_path):
    assert "roc" not in simulate(tmp_path, outcome=np.zeros(48)).figures


def test_multiclass_confidence_meets_accuracy(tmp_path):
    study = simulate(tmp_path, task="multiclass").study
    said, came = diagnostics.said_and_came(study, study.strategies["fine_tune"])
    right = study.strategies["fine_tune"].test.mean(axis=0).argmax(axis=1) == study.outcome
    assert came.mean() == right.mean()
    assert (said >= 1 / 3).all()
