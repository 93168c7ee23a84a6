"""What a study can tell: its power, and the smallest difference that it would have found."""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaincinv, ndtr, stdtrit

from medgraft.evaluation.intervals import Estimate
from medgraft.evaluation.metrics.metric import Floats

ALPHA = 0.05
POWER = 0.8
DRAWS = 500


def power(found: Estimate, effect: float, *, level: float) -> float:
    """Return the probability that the interval leaves 0 out on the side of a true effect.

    level: two-sided, such as 0.05 over the number of comparisons. The study to come will not know
    its variances, so the power is a mean over what it may find them to be (chi-squared, as many
    degrees of freedom as patients and runs allow), by the rules of `Estimate`. Where patients alone
    vary this is the textbook's power of the t test.
    """
    if not found.error > 0:
        return math.nan
    return _power(effect, found, _reach_found(found, level))


def smallest_effect(difference: Estimate, *, comparisons: int) -> float:
    """Return the smallest true difference found with 80 % probability among so many comparisons.

    That of which `power` at Holm's first step is 80 %. NaN for strategies that never differ.
    """
    if not difference.error > 0:
        return math.nan
    reach = _reach_found(difference, ALPHA / comparisons)

    def short(errors: float) -> float:
        return POWER - _power(errors * difference.error, difference, reach)

    most = float(2 * reach.max() / difference.error) + 1
    return float(difference.error * brentq(short, 0.0, most))


def _power(effect: float, found: Estimate, reach: Floats) -> float:
    return float(ndtr((abs(effect) - reach) / found.error).mean())


def _reach_found(found: Estimate, level: float) -> Floats:
    """How far off 0 is far enough, by the variances that studies like this one find, [DRAWS]."""
    few, runs = found.fewest - 1, max(found.runs - 1, 1)
    between = found.interaction * _chi_squared(few * runs, 0)
    patients = np.maximum(found.of_patients * _chi_squared(few, 1), between)
    alone = np.maximum(found.of_runs * _chi_squared(runs, 2) - between, 0.0)
    total = patients + alone
    quantile = patients * stdtrit(few, level / 2) + alone * stdtrit(runs, level / 2)
    return np.asarray(-quantile / np.sqrt(total))


def _chi_squared(freedom: float, place: int) -> Floats:
    """Chi-squared over its degrees of freedom, [DRAWS]: one of each small part, in any order."""
    part = (np.random.default_rng(place).permutation(DRAWS) + 0.5) / DRAWS
    return np.asarray(gammaincinv(freedom / 2, part) * 2 / freedom)
