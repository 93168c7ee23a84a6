import json
import re

import numpy as np
import polars as pl
import pytest

from medgraft.errors import ConfigError
from medgraft.evaluation.metrics.calibration import CalibrationSlope
from medgraft.evaluation.metrics.error import Rmse
from medgraft.evaluation.metrics.proper import Brier
from medgraft.evaluation.metrics.ranking import Auroc
from medgraft.evaluation.summary import evaluate

from .planted import make_study

METRICS = {m.name: m for m in (Auroc(), Brier(), CalibrationSlope(), Rmse())}


def run(study, **changes):
    given = {"primary": "auroc", "reference": "scratch", "draws": 300, "seed": 5} | changes
    return evaluate(study, METRICS, **given)


@pytest.fixture(scope="module")
def evaluation():
    return run(make_study({"scratch": 0.2, "tuned": 1.2, "frozen": 0.21}))


def test_planted_effect_is_found(evaluation):
    verdict = evaluation.verdict
    assert verdict["strategies"]["tuned"]["verdict"] == "helps"
    assert verdict["strategies"]["frozen"]["verdict"] == "cannot tell"
    assert verdict["sentence"].startswith("Transfer learning helps: tuned reaches AUROC")
    assert verdict["champion"]["strategy"] == "tuned"
    assert (verdict["patients"], verdict["rows"], verdict["runs"]) == (60, 60, 6)


def test_every_applicable_metric_is_compared(evaluation):
    table = evaluation.comparisons
    assert sorted(table["metric"].unique()) == ["auroc", "brier", "calibration_slope"]
    assert table.filter(pl.col("metric") == "brier", strategy="tuned")["verdict"].item() == "helps"
    assert evaluation.metrics.height == 9


def test_differences_are_of_the_values(evaluation):
    value = {(s, m): v for s, m, v, *_ in evaluation.metrics.iter_rows()}
    for row in evaluation.comparisons.iter_rows(named=True):
        expected = value[row["strategy"], row["metric"]] - value["scratch", row["metric"]]
        assert row["difference"] == pytest.approx(expected)


def test_single_run_is_not_several():
    sentence = run(make_study({"scratch": 0.2, "tuned": 0.4}, runs=1)).verdict["sentence"]
    assert re.search(r"; \d+ patients, 1 training run\.", sentence)


def test_intervals_stay_within_bounds():
    metrics = run(make_study({"scratch": 1.9})).metrics.filter(pl.col("metric") == "auroc")
    assert 0.99 < metrics["value"].item() < metrics["high"].item() <= 1.0


def test_files_hold_the_result(evaluation, tmp_path):
    evaluation.write(tmp_path)
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    scores = json.loads((tmp_path / "metrics.json").read_text())
    assert verdict["sentence"] == evaluation.verdict["sentence"]
    assert set(scores["tuned"]["brier"]) == {
        "value", "low", "high", "undefined", "silent_folds", "folds",
    }  # fmt: skip
    found = verdict["strategies"]["tuned"]["difference"]
    assert found == float(f"{evaluation.verdict['strategies']['tuned']['difference']:.6g}")
    assert pl.read_parquet(tmp_path / "comparisons.parquet").equals(evaluation.comparisons)


def test_same_seed_same_bytes(tmp_path):
    for folder in ("first", "again"):
        run(make_study({"scratch": 0.2, "tuned": 0.4})).write(tmp_path / folder)
    for name in ("metrics.json", "headline.json", "verdict.json", "comparisons.parquet"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_undefined_values_are_null(tmp_path):
    study = make_study({"scratch": 0.2, "tuned": 9.0})
    run(study).write(tmp_path)
    slope = json.loads((tmp_path / "metrics.json").read_text())["tuned"]["calibration_slope"]
    assert slope["value"] is slope["low"] is slope["high"] is None
    assert slope["undefined"] == 300


def test_missing_reference_is_said_so():
    evaluation = run(make_study({"tuned": 1.0}))
    assert evaluation.comparisons.is_empty()
    assert evaluation.verdict["sentence"] == (
        "Whether transfer learning helps was not tested: the reference strategy scratch is not in "
        "this study."
    )


@pytest.mark.parametrize("primary", ["rmse", "calibration_slope", "kappa"])
def test_unfit_primary_metric_is_refused(primary):
    message = (
        f"expected the primary metric among auroc, brier for a binary outcome, got '{primary}'"
    )
    with pytest.raises(ConfigError, match=message):
        run(make_study({"scratch": 1.0}), primary=primary)


def test_paired_comparison_beats_unpaired_width(evaluation):
    width = {(s, m): high - low for s, m, _, low, high, *_ in evaluation.metrics.iter_rows()}
    paired = evaluation.comparisons.filter(pl.col("metric") == "brier", strategy="frozen")
    unpaired = np.hypot(width["frozen", "brier"], width["scratch", "brier"])
    assert (paired["high"] - paired["low"]).item() < unpaired / 2
