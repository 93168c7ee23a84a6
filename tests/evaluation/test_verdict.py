import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from medgraft.evaluation.intervals import Estimate, Resampled
from medgraft.evaluation.metrics.calibration import CalibrationSlope
from medgraft.evaluation.metrics.proper import Brier
from medgraft.evaluation.metrics.ranking import Auroc
from medgraft.evaluation.verdict import compare, holm


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


def test_joint_interval_is_at_the_first_holm_step():
    """It leaves 0 out just where the first step of Holm's procedure finds a difference."""
    strategies = {"scratch": planted(0.7), "tuned": planted(0.732, seed=1)}
    strategies |= {f"other{i}": planted(0.7, seed=2 + i) for i in range(3)}
    found = compare(Auroc(), strategies, reference="scratch")
    for one in found:
        assert one.joint_low < one.low < one.high < one.joint_high
        assert (4 * one.p < 0.05) == (one.joint_low > 0 or one.joint_high < 0)
    (alone,) = compare(
        Auroc(), {k: strategies[k] for k in ("scratch", "tuned")}, reference="scratch"
    )
    assert (alone.joint_low, alone.joint_high) == (alone.low, alone.high)


def test_joint_interval_of_the_best_holds_its_truth():
    """The best of six equal strategies: its own interval misses more often than 5 %, this does not.

    4,000 studies; the bounds are left with a probability under 0.1 %.
    """
    generator, n, studies = np.random.default_rng(2), 60, 4000
    shared, own = (generator.standard_normal((studies, n, k)) for k in (1, 6))
    values = np.sqrt(0.5) * (shared + own)
    best = values.mean(axis=1).argmax(axis=1)
    chosen = np.take_along_axis(values, best[:, None, None], axis=2)[..., 0]
    off = np.abs(chosen.mean(axis=1)) / (chosen.std(axis=1, ddof=1) / np.sqrt(n))
    plain = Estimate(0.0, 1.0, 0.0, 0.0, fewest=n, runs=1)
    assert np.mean(off > plain.critical(0.05)) > 0.06
    assert np.mean(off > plain.critical(0.05 / 6)) < 0.05 + 3.3 * np.sqrt(0.05 * 0.95 / studies)


def test_no_reference_means_no_comparison():
    assert compare(Auroc(), {"tuned": planted(0.7)}, reference="scratch") == []
    assert compare(Auroc(), {"scratch": planted(0.7)}, reference="scratch") == []
