import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from contracts import found
from medgraft.cohorts.catalogue import simulated
from medgraft.cohorts.load import load
from medgraft.construct import construct
from medgraft.errors import CohortError, ConfigError

ORIGINS = {
    path.stem.removeprefix("simulated_"): found.read(path)["origin"]
    for path in found.of("cohort")
    if path.stem.startswith("simulated_")
}


@pytest.mark.parametrize("relatedness", [1.0, 0.6, 0.0, -0.3, -1.0])
def test_relatedness_is_cosine_of_mechanisms(relatedness):
    source, target = simulated.mechanisms(10, relatedness, seed=3)
    assert np.linalg.norm(target) == pytest.approx(1)
    assert source @ target == pytest.approx(relatedness)


def test_relatedness_leaves_source_alone():
    first, same = simulated.mechanisms(10, 1.0, seed=3)
    again, opposite = simulated.mechanisms(10, -1.0, seed=3)
    assert np.array_equal(first, again)
    assert np.array_equal(first, same)
    assert np.array_equal(first, -opposite)


def test_relatedness_beyond_one_is_refused():
    with pytest.raises(CohortError, match=r"relatedness: got 1\.5, expected a number from -1 to 1"):
        simulated.mechanisms(10, 1.5, seed=3)


def test_weight_sides_choose_finding():
    """A positive weight counts the first finding of its pair, a negative one the second."""
    first, second = np.array([[1.0, 10.0]]), np.array([[100.0, 1000.0]])
    assert simulated.burden(np.array([2.0, -3.0]), first, second) == pytest.approx([2 + 3000])


def test_prevalence_is_met():
    scores = np.random.default_rng(0).normal(3, 2, 1000)
    start = simulated.intercept(scores, 0.07)
    assert expit(start + scores).mean() == pytest.approx(0.07)
    with pytest.raises(CohortError, match="prevalence: got 1, expected a number between 0 and 1"):
        simulated.intercept(scores, 1)


def test_best_auroc_equals_scikit_learn():
    """Each patient once ill and once well, weighted by the probability of either; ties included."""
    risk = np.random.default_rng(0).uniform(size=300).round(2)
    outcome, weight = np.repeat([1, 0], 300), np.concatenate([risk, 1 - risk])
    expected = roc_auc_score(outcome, np.tile(risk, 2), sample_weight=weight)
    assert simulated.best_auroc(risk) == pytest.approx(expected)


def made(folder, **options):
    simulated.write(folder, description={}, contents={}, truth={}, options=options)


def test_other_options_replace_folder(tmp_path):
    for shift in (0, 0, 1):
        made(tmp_path / "table", shift=shift)
    assert simulated.made_with(tmp_path / "table") == {"shift": 1}


def test_foreign_folder_is_kept(tmp_path):
    kept = tmp_path / "table" / "patients.csv"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(CohortError, match=r"exists and differs in cohort\.yaml"):
        made(tmp_path / "table", shift=0)
    assert kept.read_text() == "mine"


@pytest.mark.parametrize("kind", ORIGINS)
def test_prevalence_is_that_of_both_hospitals(kind, tmp_path):
    """Whatever the mechanism of each; four standard errors of 3,000 patients."""
    asked = {"prevalence": 0.15, "relatedness": 0.0, "target_patients": 3000}
    construct(
        ORIGINS[kind] | asked | {"source_patients": 3000}, folder=tmp_path / kind, mirror=None
    )
    for site in ("large", "small"):
        ill = load(tmp_path / kind, site, "illness").y.mean()
        assert ill == pytest.approx(0.15, abs=4 * (0.15 * 0.85 / 3000) ** 0.5)


@pytest.mark.parametrize("kind", ORIGINS)
@pytest.mark.parametrize(
    ("option", "value"),
    [("signal", float("nan")), ("signal", -1.0), ("seed", -1), ("seed", 2**32)],
)
def test_options_out_of_range_are_named(kind, option, value, tmp_path):
    with pytest.raises(ConfigError, match=f": {option}: got {value}: input should be "):
        construct(ORIGINS[kind] | {option: value}, folder=tmp_path / kind, mirror=None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("option", "value"), [("shift", float("inf")), ("panel", -1)])
def test_options_of_tables_out_of_range_are_named(option, value, tmp_path):
    with pytest.raises(ConfigError, match=f": {option}: got {value}: input should be "):
        construct(ORIGINS["table"] | {option: value}, folder=tmp_path / "table", mirror=None)
