"""How far the target lies from the source, feature by feature."""

import math

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts.schema import Column
from medgraft.preparation.alignment import Aligned, Drift
from medgraft.preparation.arrays import MOST_ROWS

Numbers = NDArray[np.float64]


def drift(aligned: Aligned) -> list[Drift]:
    """Measure the drift of every feature that both roles measured."""
    source, target = (_some(table.x) for table in aligned.tables)
    return [
        _one(feature.column, source[:, position], target[:, position])
        for position, feature in enumerate(aligned.features)
        if feature.origin == "shared"
    ]


def _some(x: Numbers) -> Numbers:
    if len(x) <= MOST_ROWS:
        return x
    chosen = np.random.default_rng(0).choice(len(x), MOST_ROWS, replace=False)
    return np.asarray(x[np.sort(chosen)])


def _one(column: Column, source: Numbers, target: Numbers) -> Drift:
    missing = float(np.isnan(target).mean() - np.isnan(source).mean())
    source, target = source[~np.isnan(source)], target[~np.isnan(target)]
    if len(source) == 0 or len(target) == 0:
        return Drift(column.name, missing_difference=missing)
    if column.kind == "category":
        variation, p = _categories(source, target, len(column.categories))
        return Drift(column.name, total_variation=variation, p=p, missing_difference=missing)
    from scipy.stats import ks_2samp

    test = ks_2samp(source, target, method="asymp")
    return Drift(
        column.name,
        standardised_difference=_standardised(source, target),
        ks=float(test.statistic),
        p=float(test.pvalue),
        missing_difference=missing,
    )


def _standardised(source: Numbers, target: Numbers) -> float | None:
    if len(source) < 2 or len(target) < 2:
        return None
    spread = math.sqrt((source.var(ddof=1) + target.var(ddof=1)) / 2)
    return float(target.mean() - source.mean()) / spread if spread > 0 else None


def _categories(source: Numbers, target: Numbers, size: int) -> tuple[float, float | None]:
    from scipy.stats import chi2_contingency

    table = np.stack([np.bincount(v.astype(np.int64), minlength=size) for v in (source, target)])
    table = table[:, table.sum(axis=0) > 0]
    shares = table / table.sum(axis=1, keepdims=True)
    variation = float(np.abs(shares[0] - shares[1]).sum() / 2)
    if table.shape[1] < 2:
        return variation, None
    return variation, float(chi2_contingency(table, correction=False).pvalue)
