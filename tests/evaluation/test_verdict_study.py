"""The simulated studies of `benchmarks/verdict.py`, a few of them."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
STUDIES = 40


@pytest.fixture(scope="module")
def verdict():
    sys.path.insert(0, str(BENCHMARKS))
    import verdict

    yield verdict
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def simulated(verdict, tmp_path_factory):
    """The comparisons of some studies of a setting."""

    def simulate(setting):
        folder = tmp_path_factory.mktemp("studies")
        verdict.pretrain_networks(setting, folder / f"source_{setting.number}")
        for first in range(0, STUDIES, verdict.AT_ONCE):
            verdict.judge(setting, first, verdict.AT_ONCE, folder)
        return pl.concat([pl.read_parquet(path) for path in folder.glob("judged_*.parquet")])

    return simulate


def test_true_auroc_of_sure_risks_is_the_auroc(verdict):
    random = np.random.default_rng(0)
    risk, said = (random.random(300) < 0.3).astype(float), random.normal(size=300)
    assert verdict.true_auroc(risk, said) == pytest.approx(roc_auc_score(risk, said))


def test_true_auroc_is_expected_over_outcomes(verdict):
    random = np.random.default_rng(1)
    risk = random.random(200)
    said = risk + random.normal(size=200)
    drawn = [roc_auc_score(random.random(200) < risk, said) for _ in range(2000)]
    # The mean of 2,000 draws is known to a twentieth of a deviation of one over root 5.
    assert verdict.true_auroc(risk, said) == pytest.approx(
        np.mean(drawn), abs=5 * np.std(drawn) / np.sqrt(2000) + 1e-3
    )


@pytest.mark.slow
def test_placebo_raises_no_more_alarms_than_chance(verdict, simulated):
    rows = simulated(verdict.Setting(100, 0.5, 0.0))
    placebo = rows.filter(pl.col("strategy") == verdict.PLACEBO)
    alarms = placebo.filter(pl.col("verdict") != "cannot tell")
    # At 5 % so many alarms are raised once in 10,000 seeds.
    assert len(alarms) <= binom.ppf(0.9999, len(placebo), 0.05)
    held = rows.filter((pl.col("low") <= pl.col("truth")) & (pl.col("truth") <= pl.col("high")))
    # Three strategies and the placebo of a study are not independent: as if they were one.
    least = binom.ppf(0.0001, STUDIES, 0.95) / STUDIES
    assert len(held) / len(rows) >= least


@pytest.mark.slow
def test_harmful_source_does_not_ship(verdict, simulated):
    rows = simulated(verdict.Setting(100, 0.15, -1.0))
    assert rows.group_by("strategy").agg(pl.col("truth").mean())["truth"].max() < -0.02
    assert rows["ships"].sum() <= binom.ppf(0.9999, STUDIES, 0.01)
