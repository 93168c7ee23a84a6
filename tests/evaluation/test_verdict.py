import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from medgraft.evaluation.intervals import Estimate, Resampled
from medgraft.evaluation.metrics.calibration import CalibrationSlope
from medgraft.evaluation.metrics.proper import Brier
from medgraft.evaluation.metrics.ranking import Auroc
from medgraft.evaluation.verdict import compare, holm, smallest_effect


def planted(value, spread=0.01, seed=0):
    generator = np.random.default_rng(seed)
    by_run = value + spread * np.array([-1.0, 0.0, 1.0, 0.0])
    return Resampled(by_run, by_run + spread * generator.standard_normal((500, 1)), 50)


def test_holm_equals_statsmodels():
    generator = np.random.default_rng(1)
    for size in (1, 2, 7, 20):
        p = generator.random(size) ** 3
        np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


def test_undefined_p_still_counts_in_holm():
    np.testing.assert_allclose(holm(np.array([np.nan, 0.02, 0.01])), [np.nan, 0.04, 0.03])


@pytest.mark.parametrize(
    ("metric", "value", "verdict"),
    [
        (Auroc(), 0.9, "helps"),
        (Auroc(), 0.5, "harms"),
        (Auroc(), 0.701, "cannot tell"),
        (Brier(), 0.9, "harms"),
        (Brier(), 0.5, "helps"),
        (CalibrationSlope(), 0.9, "no direction"),
    ],
)
def test_verdict_follows_direction(metric, value, verdict):
    resampled = {"scratch": planted(0.7), "tuned": planted(value, seed=1)}
    (found,) = compare(metric, resampled, reference="scratch")
    assert found.verdict == verdict
    assert found.difference == pytest.approx(value - 0.7)
    assert found.low < found.difference < found.high


def test_many_comparisons_ask_for_more():
    close = {"scratch": planted(0.7), "tuned": planted(0.732, seed=1)}
    (alone,) = compare(Auroc(), close, reference="scratch")
    crowd = close | {f"other{i}": planted(0.7, seed=2 + i) for i in range(9)}
    among = compare(Auroc(), crowd, reference="scratch")[0]
    assert alone.verdict == "helps"
    assert among.verdict == "cannot tell"
    assert (among.p, among.low) == (alone.p, alone.low)
    assert among.p_holm == pytest.approx(10 * alone.p)
    assert among.smallest_effect > alone.smallest_effect


def test_smallest_effect_is_textbook_for_many_patients():
    large = Estimate(0.0, 0.04, 0.0, 0.0, fewest=10**6, runs=5)
    expected = (norm.ppf(1 - 0.05 / 6) + norm.ppf(0.8)) * 0.2
    assert smallest_effect(large, comparisons=3) == pytest.approx(expected, rel=1e-4)


def test_smallest_effect_is_found_four_times_in_five():
    generator, n, studies = np.random.default_rng(8), 60, 20_000
    truth = smallest_effect(Estimate(0.0, 1 / n, 0.0, 0.0, fewest=n, runs=1), comparisons=1)
    samples = truth + generator.standard_normal((studies, n))
    critical = Estimate(0.0, 1.0, 0.0, 0.0, fewest=n, runs=1).critical(0.05)
    found = samples.mean(axis=1) / (samples.std(axis=1, ddof=1) / np.sqrt(n)) > critical
    # The standard error of the share is 0.28 %; 1.2 % is over four of them.
    assert found.mean() == pytest.approx(0.8, abs=0.012)


def test_no_reference_means_no_comparison():
    assert compare(Auroc(), {"tuned": planted(0.7)}, reference="scratch") == []
    assert compare(Auroc(), {"scratch": planted(0.7)}, reference="scratch") == []
