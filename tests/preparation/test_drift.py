import numpy as np
import pytest
from scipy.stats import ks_2samp, ttest_ind
from statsmodels.stats.contingency_tables import Table

from medgraft.preparation import drift as module
from medgraft.preparation.drift import drift
from medgraft.preparation.table import align

from .simulated import cohort, spoil


def drifts(source, target):
    return {entry.feature: entry for entry in drift(align([source], [target], "masked"))}


def test_difference_equals_scaled_t():
    # With equal sizes Cohen's d is t * sqrt(2 / n).
    source, target = cohort("a", missing=0), cohort("b", missing=0, seed=3)
    found = drifts(source, target)["m2"]
    t = ttest_ind(target.values[:, 2], source.values[:, 2]).statistic
    assert found.standardised_difference == pytest.approx(t * np.sqrt(2 / 80))
    exact = ks_2samp(source.values[:, 2], target.values[:, 2])
    assert found.ks == pytest.approx(exact.statistic)
    assert found.p == pytest.approx(exact.pvalue, abs=0.05)


def test_categories_equal_statsmodels():
    source, target = cohort("a", missing=0), cohort("b", missing=0, rows=50)
    sexes = [c.values[:, -1].astype(int) for c in (source, target)]
    counts = np.stack([np.bincount(sex, minlength=2) for sex in sexes])
    found = drifts(source, target)["sex"]
    expected = Table(counts, shift_zeros=False).test_nominal_association().pvalue
    assert found.p == pytest.approx(expected)
    assert found.total_variation == pytest.approx(abs(sexes[0].mean() - sexes[1].mean()))


def test_absent_values_are_undefined():
    target = cohort("b")
    values = target.values.copy()
    values[:, 0] = np.nan
    found = drifts(cohort("a", missing=0), spoil(target, values=values))["m0"]
    assert (found.standardised_difference, found.ks, found.p) == (None, None, None)
    assert found.missing_difference == 1.0


def test_features_of_one_role_are_left_out():
    assert "m6" not in drifts(cohort("a", numbers=7), cohort("b", numbers=6))


def test_of_many_rows_some_are_compared(monkeypatch):
    """As many as `MOST_ROWS` of each role, the same ones of every feature and every time."""
    source, target = cohort("a", rows=4000), cohort("b", rows=3000, seed=3)
    whole = drifts(source, target)
    monkeypatch.setattr(module, "MOST_ROWS", 2000)
    found = drifts(source, target)
    assert found == drifts(source, target) != whole
    for name, one in found.items():
        assert one.missing_difference == pytest.approx(whole[name].missing_difference, abs=0.05)
        if one.ks is not None:
            assert one.ks == pytest.approx(whole[name].ks, abs=0.06)
