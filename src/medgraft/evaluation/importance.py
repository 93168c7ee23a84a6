"""How much each feature, position or pixel contributes on average, and how sure that is."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from medgraft.evaluation.metrics.metric import Floats, Integers


def importance(sizes: Floats, patient: Integers) -> tuple[Floats, Floats, Floats]:
    """Mean over replicas and patients, with a 95 % interval: value, low, high ``[P]``.

    Patients and replicas are both samples. The variance of the mean is at most the sum of what each
    contributes alone (Owen 2007, Ann. Appl. Stat. 1:386, whose bound holds for any two-way layout);
    its degrees of freedom are Satterthwaite's (1946, Biometrics Bull. 2:110). With a single replica
    the interval covers patients alone; with a single patient it is undefined, NaN.

    Args:
        sizes: ``[R, n, P]``, how large each contribution is, 0 or more.
        patient: ``[n]``; the rows of one patient count as their mean.
    """
    codes = np.unique(patient, return_inverse=True)[1]
    by_patient = np.zeros((sizes.shape[0], codes.max() + 1, sizes.shape[2]))
    for row, code in enumerate(codes.tolist()):
        by_patient[:, code] += sizes[:, row]
    by_patient /= np.bincount(codes)[None, :, None]
    value: Floats = by_patient.mean((0, 1))
    parts = [_part(by_patient.mean(0)), _part(by_patient.mean(1), alone=0.0)]
    total = parts[0][0] + parts[1][0]
    spread = sum(variance**2 / max(freedom, 1) for variance, freedom in parts)
    freedom = np.divide(total**2, spread, out=np.ones_like(total), where=spread > 0)
    half = stdtrit(freedom, 0.975) * np.sqrt(total)
    return value, np.maximum(value - half, 0), value + half


def _part(means: Floats, alone: float = np.nan) -> tuple[Floats, int]:
    """The variance ``[P]`` of the mean of ``means [k, P]``, and its degrees of freedom."""
    count = len(means)
    if count < 2:
        return np.full(means.shape[1], alone), 1
    return means.var(0, ddof=1) / count, count - 1
