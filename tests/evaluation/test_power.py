"""What a study says it could see, it sees four times in five."""

import numpy as np
import pytest
from scipy.stats import norm

from medgraft.evaluation.intervals import Estimate
from medgraft.evaluation.power import power, smallest_effect


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


def test_smallest_effect_has_the_power_a_plan_would_give_it():
    few_runs = Estimate(0.0, 0.03, 0.04, 0.02, fewest=20, runs=5)
    effect = smallest_effect(few_runs, comparisons=3)
    assert power(few_runs, effect, level=0.05 / 3) == pytest.approx(0.8)


def test_few_runs_see_less_than_the_quantiles_say():
    """t at the level plus t at 80 % would be right of a spread that is estimated once for all."""
    few_runs = Estimate(0.0, 0.03, 0.04, 0.02, fewest=20, runs=5)
    textbook = (few_runs.critical(0.05 / 3) + few_runs.critical(0.4)) * few_runs.error
    assert smallest_effect(few_runs, comparisons=3) > textbook
