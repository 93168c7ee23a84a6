from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, ttest_ind
from statsmodels.duration.survfunc import survdiff
from statsmodels.stats.proportion import proportion_confint

from medgraft.cohorts.schema import Outcome
from medgraft.preparation.alignment import pool
from medgraft.preparation.outcome_shift import outcome_shift

from .simulated import DISEASE, STAGE, STAY, cohort


def compare(source, target, outcome: Outcome = DISEASE, visits: int = 1):
    tables = [
        replace(pool(role, [cohort("a", rows=len(y), outcome=DISEASE)]), y=y, outcome=outcome)
        for role, y in (("source", source), ("target", target))
    ]
    codes = tuple(np.arange(len(y)) // visits for y in (source, target))
    return outcome_shift(*tables, patient=codes)


def cases(number: int, of: int) -> np.ndarray:
    return (np.arange(of) < number).astype(float)


def test_share_and_interval_are_statsmodels():
    (found,) = compare(cases(30, 120), cases(54, 100))
    assert (found.name, found.source.value, found.target.value) == ("yes", 0.25, 0.54)
    low, high = proportion_confint(30, 120, method="wilson")
    # The spread of patients is estimated with n - 1, Wilson's with n.
    assert (found.source.low, found.source.high) == pytest.approx((low, high), abs=1e-3)


def test_p_is_pearsons():
    from scipy.stats import chi2, chi2_contingency

    (found,) = compare(cases(30, 120), cases(40, 100))
    square = chi2_contingency([[30, 90], [40, 60]], correction=False).statistic
    assert found.p == pytest.approx(chi2.sf(square * 219 / 220, 1))


def test_mean_and_interval_are_scipys():
    generator = np.random.default_rng(1)
    source, target = generator.normal(5, 1, 80), generator.normal(5.4, 1, 70)
    (found,) = compare(source, target, STAY)
    assert found.source.value == pytest.approx(source.mean())
    assert found.p == pytest.approx(ttest_ind(source, target).pvalue, abs=0.003)
    assert not found.share


def test_log_rank_is_statsmodels():
    generator = np.random.default_rng(2)
    time, event = generator.exponential(size=150), generator.random(150) < 0.7
    time[100:] *= 0.6
    y = np.stack([time, event], axis=1)
    (found,) = compare(y[:100], y[100:], Outcome("death", "survival", unit="years"))
    expected = survdiff(time, event, np.arange(150) < 100)[1]
    assert found.p == pytest.approx(expected, abs=0.02)  # another variance of the same statistic
    assert found.target.value == pytest.approx(y[100:, 1].sum() / y[100:, 0].sum())
    assert (found.name, found.unit) == ("events per time in years", "")


def test_three_classes_are_adjusted_by_holm():
    from medgraft.evaluation.verdict import holm

    source, target = np.arange(90) % 3.0, np.repeat([0.0, 1, 2], (12, 28, 50))
    found = compare(source, target, STAGE)
    p = np.array([one.p for one in found])
    assert [one.p_holm for one in found] == pytest.approx(holm(p).tolist())


def test_patients_with_several_rows_count_once():
    alone = compare(cases(15, 60), cases(16, 40))[0]
    thrice = compare(np.repeat(cases(15, 60), 3), np.repeat(cases(16, 40), 3), visits=3)[0]
    assert thrice.p == pytest.approx(alone.p)
    assert thrice.target.low == pytest.approx(alone.target.low, abs=1e-6)


def test_no_case_is_a_share_of_zero_with_an_interval():
    (found,) = compare(cases(0, 30), cases(10, 30))
    assert found.source.value == 0
    assert found.source.high == pytest.approx(proportion_confint(0, 30, method="wilson")[1])
    assert compare(cases(0, 30), cases(0, 30))[0].p is None


def test_equal_cohorts_raise_few_alarms():
    """1,000 studies with 5 % each: outside these bounds with probability 0.1 %."""
    generator = np.random.default_rng(3)
    alarms = sum(
        compare(*((generator.random(n) < 0.3).astype(float) for n in (120, 60)))[0].p < 0.05
        for _ in range(1000)
    )
    assert binom.ppf(0.0005, 1000, 0.05) <= alarms <= binom.ppf(0.9995, 1000, 0.05)
