import numpy as np
import pytest
from scipy.stats import binom, mannwhitneyu

from medgraft.cohorts.schema import Column
from medgraft.preparation.alignment import shared_measurements
from medgraft.preparation.cohort_shift import cohort_shift
from medgraft.preparation.sequence import _words
from medgraft.preparation.shift import Rows, _won, both, chosen, missing, tell_apart
from medgraft.preparation.table import align

from .simulated import STAY, cohort, with_cells, with_column


def rows(source: np.ndarray, target: np.ndarray, *, y=None, visits: int = 1) -> Rows:
    codes = tuple(np.arange(len(x)) // visits for x in (source, target))
    return both((source, target), codes, y=y)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng([7, seed]).normal(size=shape)


def test_area_is_mann_whitneys():
    scores, names = normal(1, 30).round(1), (np.arange(30) < 11).astype(float)
    won, pairs = _won(scores[:, None], names[:, None])
    expected = mannwhitneyu(scores[names == 1], scores[names == 0]).statistic
    assert (won[0], pairs[0]) == (expected, 11 * 19)


def bent(x: np.ndarray) -> np.ndarray:
    """As before, one by one, but the second follows the first."""
    return np.column_stack([x[:, 0], 0.9 * x[:, 0] + np.sqrt(0.19) * x[:, 1], x[:, 2:]])


@pytest.mark.parametrize(
    "change",
    [lambda x: x + 0.6, lambda x: 2 * x, bent],
    ids=["means", "spreads", "dependence"],
)
def test_different_cohorts_are_told_apart(change):
    found = tell_apart(rows(normal(2, 240, 5), change(normal(3, 80, 5))), seed=1)
    assert found.auroc > 0.6
    assert found.p == 0.001


def test_auroc_is_near_that_of_the_best_classifier():
    """Two normals d apart: no classifier has more than Phi(d / sqrt 2) = 0.921 for d = 2."""
    moved = normal(5, 400, 1) + 2
    found = tell_apart(rows(normal(4, 400, 1), moved), seed=1)
    assert found.auroc == pytest.approx(0.921, abs=0.03)  # 3 standard errors


def false_alarms(*, within_classes: bool, visits: int, studies: int) -> int:
    """Cohorts alike (or alike within classes of other frequency), how often called different."""
    alarms = 0
    for study in range(studies):
        n = (60, 24)
        share = (0.3, 0.7) if within_classes else (0.5, 0.5)
        y = [
            np.repeat(np.random.default_rng([study, k]).random(size // visits) < p, visits)
            for k, (size, p) in enumerate(zip(n, share, strict=True))
        ]
        x = [
            1.5 * one[:, None]
            + np.repeat(normal(10 * study + k, len(one) // visits, 4), visits, axis=0)
            for k, one in enumerate(y)
        ]
        both_y = tuple(one.astype(float) for one in y)
        put = rows(x[0], x[1], y=both_y, visits=visits)
        alarms += tell_apart(put, seed=study, within_classes=within_classes).p <= 0.05
    return int(alarms)


@pytest.mark.parametrize(("within_classes", "visits"), [(False, 1), (False, 3), (True, 1)])
def test_equal_cohorts_raise_few_alarms(within_classes, visits):
    """60 studies; more than 8 alarms come with probability 0.3 % where each has 5 %."""
    assert binom.sf(8, 60, 0.05) < 0.005
    assert false_alarms(within_classes=within_classes, visits=visits, studies=60) <= 8


@pytest.mark.slow
@pytest.mark.parametrize(("within_classes", "visits"), [(False, 1), (False, 3), (True, 1)])
def test_false_alarm_rate_is_five_percent(within_classes, visits):
    alarms = false_alarms(within_classes=within_classes, visits=visits, studies=500)
    assert binom.ppf(0.0005, 500, 0.05) <= alarms <= binom.ppf(0.9995, 500, 0.05)


def test_label_shift_alone_is_nothing_within_classes():
    y = (np.arange(200) < 40).astype(float), (np.arange(100) < 60).astype(float)
    x = [3 * one[:, None] + normal(k, len(one), 3) for k, one in enumerate(y)]
    put = rows(x[0], x[1], y=y)
    assert tell_apart(put, seed=1).p == 0.001
    assert tell_apart(put, seed=1, within_classes=True).p > 0.05


def test_missing_values_alone_tell_apart():
    x = normal(1, 200, 3)
    x[150:, 0] = np.nan
    gaps = missing(rows(x[:150], x[150:]))
    assert gaps.x.shape == (200, 1)
    assert tell_apart(gaps, seed=1).auroc == 1
    assert missing(rows(normal(1, 20, 2), normal(2, 20, 2))) is None


def test_large_cohorts_are_thinned_by_patients():
    code = (np.arange(9000) // 3, np.arange(30))
    here, there = chosen(code, seed=1)
    x = (normal(1, 9000, 1)[here], normal(2, 30, 1)[there])
    put = both(x, (code[0][here], code[1][there]), y=None)
    assert len(put.x) == 1998 + 30
    assert np.bincount(put.patient).tolist() == [3] * 666 + [1] * 30


def test_only_what_both_measured_tells():
    source = with_column(cohort("a"), Column("extra", "number"), np.ones(80))
    first, second = shared_measurements(align([source], [cohort("b")], "masked"))
    assert first.shape == second.shape == (80, 7)


def test_category_of_three_is_three_columns():
    kind = Column("kind", "category", categories=("x", "y", "z"))
    pair = [with_column(cohort(name), kind, np.arange(80) % 3.0) for name in "ab"]
    first, _ = shared_measurements(align([pair[0]], [pair[1]], "shared"))
    assert first.shape == (80, 10)
    assert first[:4, -3:].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_words_are_counted_as_shares():
    tokens = np.array([[0, 1, 0, 1, 0], [0, 1, 4, 1, 0]], dtype=np.uint8)
    found = _words(tokens, 4)
    assert found.shape == (2, 256)
    assert found[0, [0b00010001, 0b01000100]].tolist() == [0.5, 0.5]
    assert found[1].sum() == 0  # an unknown letter in every word of four


def test_outcomes_that_cannot_be_compared_are_left_out():
    aligned = align([cohort("a", outcome=STAY)], [cohort("b")], "shared")
    code = np.arange(80), np.arange(80)
    found = cohort_shift(aligned, shared_measurements, patient=code, seed=1)
    assert found["outcome"] == []
    assert found["same_outcome"] is None


def test_constant_measurements_tell_nothing():
    pair = [with_cells(cohort(name), slice(None), np.ones(7)) for name in "ab"]
    aligned = align([pair[0]], [pair[1]], "shared")
    code = np.arange(80), np.arange(80)
    found = cohort_shift(aligned, shared_measurements, patient=code, seed=1)
    assert found["covariates"]["auroc"] == 0.5
    assert found["covariates"]["p"] == 1
