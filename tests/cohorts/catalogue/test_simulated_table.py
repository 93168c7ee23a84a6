import json

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from medgraft.cohorts.catalogue import simulated_table
from medgraft.cohorts.load import load
from medgraft.errors import CohortError


def made(folder, **options):
    """Both hospitals, and the truth about them."""
    simulated_table.materialise(folder / "table", None, **options)
    large, small = (load(folder / "table", site, "illness") for site in ("large", "small"))
    return large, small, json.loads((folder / "table" / "truth.json").read_text())


def true_risk(cohort, truth):
    """Risk [n] by the mechanism as truth.json states it, from what the cohort measured."""
    weights, values = np.array(truth[cohort.name]["weights"]), cohort.values[:, :-1]
    high, low = np.maximum(values - 0.5, 0), np.maximum(-values - 0.5, 0)
    score = high @ np.maximum(weights, 0) + low @ np.maximum(-weights, 0)
    return expit(truth[cohort.name]["intercept"] + 4 * score)


@pytest.mark.parametrize("relatedness", [1.0, 0.0, -1.0])
def test_truth_is_what_was_planted(tmp_path, relatedness):
    """The stated mechanism ranks patients as well as stated, within chance, and is calibrated."""
    large, small, truth = made(tmp_path, relatedness=relatedness, target_patients=3000)
    for cohort in (large, small):
        risk = true_risk(cohort, truth)
        auroc = roc_auc_score(cohort.y, risk)
        assert auroc == pytest.approx(truth[cohort.name]["best_auroc"], abs=0.03)
        assert cohort.y.mean() == pytest.approx(risk.mean(), abs=0.03)
        assert risk.mean() == pytest.approx(0.4, abs=0.02)


def test_opposite_mechanism_misleads(tmp_path):
    """Relatedness -1 is no mere sign: the source's risk hardly ranks the target, either way up."""
    large, small, truth = made(tmp_path, relatedness=-1.0, target_patients=3000)
    truth["small"] = truth["large"]
    assert 0.3 < roc_auc_score(small.y, true_risk(small, truth)) < 0.5
    assert large.name == "large"


def test_same_options_same_bytes(tmp_path):
    for name in ("one", "two"):
        made(tmp_path / name, panel=2, missing=0.1)
    for path in (tmp_path / "one" / "table").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / "table" / path.name).read_bytes()


def test_shift_moves_small_hospital_alone(tmp_path):
    """By the same amount up or down, with the same patients behind the readings."""
    large, small, _ = made(tmp_path / "plain")
    also_large, shifted, _ = made(tmp_path / "shifted", shift=1.5)
    assert np.array_equal(large.values, also_large.values)
    moved = np.abs(shifted.values - small.values)[:, :-1]
    assert np.allclose(moved, 1.5, atol=1e-3)
    assert np.array_equal(small.y, shifted.y)


def test_missing_share_is_met(tmp_path):
    large, small, _ = made(tmp_path, missing=0.2, target_patients=3000)
    for cohort in (large, small):
        assert np.isnan(cohort.values[:, :-1]).mean() == pytest.approx(0.2, abs=0.01)


def test_panel_follows_from_markers(tmp_path):
    """A linear fit of the panel on the markers explains the share of variance that was asked."""
    large, small, _ = made(tmp_path, panel=2, predictable=0.7)
    columns = {column.name: large.values[:, i] for i, column in enumerate(large.columns)}
    assert not any(name.startswith("panel") for name in small.measured)
    markers = np.column_stack([v for name, v in columns.items() if name.startswith("marker")])
    for name in ("panel_01", "panel_02"):
        fit, *_ = np.linalg.lstsq(markers, columns[name], rcond=None)
        left = columns[name] - markers @ fit
        assert 1 - left.var() / columns[name].var() == pytest.approx(0.7, abs=0.05)


def test_share_beyond_one_is_refused(tmp_path):
    with pytest.raises(CohortError, match="missing: got 2, expected a share, 0 to 1"):
        made(tmp_path, missing=2.0)
    assert not list(tmp_path.iterdir())
