import dataclasses

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from medgraft.evaluation.metrics.proper import Brier
from medgraft.evaluation.metrics.ranking import Auroc
from medgraft.evaluation.savings import Saving, equivalent, monotone, patients_saved
from medgraft.evaluation.summary import evaluate

from .planted import make_study

SIZES = (20, 40, 80, 160)

ENDS = {
    (30, 80.2): " 30 to 80)",
    (20, 80): " 20 or fewer to 80)",
    (30, np.inf): ": at least 30; no upper limit)",
    (20, np.inf): ": any number of patients)",
}


def studies(strengths: dict[str, list[float]]):
    """At size s every strategy follows the outcome as strongly as told."""
    return {
        size: make_study({name: levels[i] for name, levels in strengths.items()})
        for i, size in enumerate(SIZES)
    }


def test_monotone_fit_is_sklearns():
    values = np.random.default_rng(0).normal(size=(50, 7))
    sklearns = [IsotonicRegression().fit_transform(np.arange(7), row) for row in values]
    np.testing.assert_allclose(monotone(values), sklearns, atol=1e-12)


def test_equivalent_size_is_read_off_the_line():
    curve = np.array([[0.6, 0.7, 0.7, 0.9]] * 5)
    value = np.array([0.5, 0.65, 0.8, 0.9, 0.91])
    found = equivalent(curve, np.array(SIZES, dtype=float), value)
    assert found == pytest.approx([20, 30, 120, 160, np.inf])
    assert np.isnan(equivalent(curve[:1], np.array(SIZES, dtype=float), np.array([np.nan]))[0])


@pytest.mark.parametrize("metric", [Auroc(), Brier()])
def test_strategy_that_needs_half_saves_half(metric):
    """What scratch does with 40, 80, 160 the other does with 20, 40, 80: whichever way is up."""
    levels = [0.2, 0.5, 0.9, 1.4, 1.4]
    sizes = studies({"scratch": levels[:4], "fine_tune": levels[1:]})
    found = dict(sizes)
    # The same luck in both, so that they are each other's equals exactly.
    for at, study in found.items():
        place = min(SIZES.index(at) + 1, 3)
        tuned = sizes[SIZES[place]].strategies["scratch"]
        strategies = {"scratch": sizes[at].strategies["scratch"], "fine_tune": tuned}
        found[at] = dataclasses.replace(study, strategies=strategies)
    saved = patients_saved(found, metric, reference="scratch", draws=200, seed=0)
    assert saved is not None
    assert [one.worth for one in saved.savings] == pytest.approx([40, 80, 160, 160])
    for one in saved.savings[:2]:
        assert one.low <= one.worth <= one.high
    assert "20 patients with fine_tune do what 40 do with scratch (95 % CI" in saved.told(
        saved.savings[0]
    )


def test_better_than_everyone_together_is_said():
    sizes = studies({"scratch": [0.1, 0.2, 0.3, 0.3], "fine_tune": [2.0] * 4})
    saved = patients_saved(sizes, Auroc(), reference="scratch", draws=200, seed=0)
    assert saved is not None
    assert saved.told(saved.savings[0]) == (
        "20 patients with fine_tune do more than all 160 training patients of a model with scratch "
        "(95 % CI: more than 160)"
    )


def test_interval_is_the_verdicts_turned_round():
    """It holds the strategy's own size if and only if the difference there may be 0."""
    sizes = studies({"scratch": [0.3, 0.5, 0.6, 0.7], "fine_tune": [0.4, 0.5, 0.9, 1.6]})
    saved = patients_saved(sizes, Auroc(), reference="scratch", draws=300, seed=0)
    assert saved is not None
    held = [one.low <= one.size <= one.high for one in saved.savings]
    judged = [
        evaluate(
            study, {"auroc": Auroc()}, primary="auroc", reference="scratch", draws=300, seed=0
        ).comparisons.row(0, named=True)
        for study in sizes.values()
    ]
    assert held == [row["low"] <= 0 <= row["high"] for row in judged]
    assert set(held) == {True, False}


def test_undefined_is_said():
    sizes = studies({"scratch": [0.1] * 4, "fine_tune": [1.0] * 4})
    saved = patients_saved(sizes, Auroc(), reference="scratch", draws=200, seed=0)
    assert saved is not None
    told = [saved.told(Saving("fine_tune", 20, 45, *ends)) for ends in ENDS]
    assert [one.split("(95 % CI")[1] for one in told] == list(ENDS.values())
    nothing = Saving("fine_tune", 20, np.nan, np.nan, np.nan)
    assert saved.told(nothing) == (
        "20 patients with fine_tune: AUROC is undefined for too many samples"
    )


def test_no_curve_no_saving():
    assert patients_saved({}, Auroc(), reference="scratch", draws=200, seed=0) is None
    sizes = studies({"scratch": [0.1] * 4})
    assert patients_saved(sizes, Auroc(), reference="other", draws=200, seed=0) is None
