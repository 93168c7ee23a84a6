"""The simulated studies of `benchmarks/verdict.py`, a few of them."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

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


def test_studies_on_one_axis_keep_apart(verdict, monkeypatch):
    """Every study's replicas see its own patients, and test them once a run besides the truth's."""
    monkeypatch.setattr(verdict, "TRUTH", 50)
    small = replace(verdict.SETTINGS[0], world=7)
    found, markers = verdict.trials(small, 0, 2)
    each = small.patients + 50
    assert len(markers) == 2 * each
    rows = verdict.together(found).select("train", "validation", "test").to_dicts()
    for number in (0, 1):
        mine = rows[number * len(rows) // 2 : (number + 1) * len(rows) // 2]
        seen = {row for replica in mine for part in replica.values() for row in part}
        assert min(seen) >= number * each
        assert max(seen) < (number + 1) * each
        tested = np.concatenate([replica["test"] for replica in mine]) - number * each
        own = np.bincount(tested, minlength=each)[: small.patients]
        assert (own == verdict.RUNS).all()
        for replica in mine:
            assert not set(replica["train"]) & set(replica["test"])


def test_every_setting_has_chance_of_its_own(verdict):
    numbers = [replace(s, world=world).number for s in verdict.SETTINGS for world in range(3)]
    assert len(set(numbers)) == len(numbers) == 72


def test_interrupted_studies_go_on(verdict, tmp_path):
    """Batches that are judged are left out, files half written do not count, order is kept."""
    settings = [verdict.Setting(40, 0.5, 0.0), verdict.Setting(40, 0.5, 1.0)]
    every = verdict.jobs(settings, 0.12, tmp_path)
    planned = sorted((job[0].relatedness, job[1], job[2]) for job in every)
    assert planned == [(0.0, first, 10) for first in range(0, 60, 10)] + [
        (1.0, 0, 10), (1.0, 10, 10), (1.0, 20, 4),
    ]  # fmt: skip
    setting, first, *_ = every[1]
    done = verdict.judgement(setting, first, tmp_path)
    done.with_suffix(".new").write_bytes(b"half")
    assert verdict.jobs(settings, 0.12, tmp_path) == every
    verdict.write(pl.DataFrame({"study": [1]}), done)
    assert verdict.jobs(settings, 0.12, tmp_path) == [every[0], *every[2:]]
    assert not list(tmp_path.glob("*.new"))


def test_trained_answers_are_found_again(verdict, tmp_path, monkeypatch):
    """Judging anew trains nothing that is kept."""
    setting = verdict.Setting(40, 0.5, 0.0)
    kept = tmp_path / f"answers_{setting.number}_0.parquet"
    verdict.write(pl.DataFrame({"study": [0]}), kept)
    monkeypatch.setattr(verdict, "trials", lambda *_: pytest.fail("trained again"))
    assert verdict.simulate(setting, 0, 1, tmp_path) == kept


@pytest.mark.parametrize(("alarms", "studies"), [(0, 500), (7, 500), (1, 40)])
def test_share_has_the_exact_interval(verdict, alarms, studies):
    """Clopper & Pearson 1934, as statsmodels has it."""
    from verdict_tables import share

    low, high = proportion_confint(alarms, studies, alpha=0.05, method="beta")
    events = pl.Series([True] * alarms + [False] * (studies - alarms))
    told = f"{100 * alarms / studies:.1f} % [{100 * low:.1f}, {100 * high:.1f}] of {studies}"
    assert share(events) == told
    assert share(events.head(0)) == "–"


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
