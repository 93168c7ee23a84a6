from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from medgraft.evaluation.metrics.metric import Floats


@dataclass(frozen=True)
class AurocDifference:
    """How much larger the first AUROC is: the difference, its 95 % interval, z and two-sided p."""

    difference: float
    low: float
    high: float
    z: float
    p: float


def delong_covariance(outcome: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Return the AUROCs [M] of M scores of the same rows, and their covariance [M, M].

    outcome: [n], 0 or 1. scores: [M, n], larger for cases. NaN with fewer than two cases or two
    controls. DeLong, DeLong & Clarke-Pearson 1988 (Biometrics 44:837), by mid-ranks in O(n log n)
    as Sun & Xu 2014 (IEEE Signal Process. Lett. 21:1389).
    """
    case = outcome == 1
    cases, controls = int(case.sum()), int((~case).sum())
    if min(cases, controls) < 2:
        return np.full(len(scores), np.nan), np.full((len(scores), len(scores)), np.nan)
    among_all = rankdata(scores, axis=1)
    beaten = (among_all[:, case] - rankdata(scores[:, case], axis=1)) / controls
    beaten_by = 1 - (among_all[:, ~case] - rankdata(scores[:, ~case], axis=1)) / cases
    covariance = np.cov(beaten) / cases + np.cov(beaten_by) / controls
    return beaten.mean(axis=1), covariance.reshape(len(scores), len(scores))


def delong_test(
    outcome: Floats, first: Floats, *, second: Floats, level: float = 0.95
) -> AurocDifference:
    """Compare the AUROCs of two models on the same rows, one row per patient.

    outcome, first, second: [n]. Says nothing about training anew: for that see `intervals`.
    """
    area, covariance = delong_covariance(outcome, np.stack([first, second]))
    difference = float(area[0] - area[1])
    error = float(np.sqrt(max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], 0.0)))
    if np.isnan(difference):
        return AurocDifference(difference, *[float("nan")] * 4)
    reach = float(norm.ppf((1 + level) / 2)) * error
    z = difference / error if error > 0 else float(np.copysign(np.inf, difference))
    z = 0.0 if difference == 0 else z
    return AurocDifference(
        difference, difference - reach, difference + reach, z, float(2 * norm.sf(abs(z)))
    )
