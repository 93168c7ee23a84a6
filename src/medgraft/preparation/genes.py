"""What `features` and `drift` say of a table's columns, for thousands of numbers at a time.

The same questions and the same bounds, asked of whole arrays [n, genes]; one finding speaks of all
genes it concerns.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medgraft.preparation.alignment import Aligned, Drift, Table
from medgraft.preparation.features import IMPLAUSIBLE, MISSING_APART
from medgraft.preparation.findings import Finding, count, listed

Numbers = NDArray[np.float64]
Bools = NDArray[np.bool_]


def findings(aligned: Aligned) -> Iterator[Finding]:
    """Genes that tell the outcome, say nothing, or are missing in one role only."""
    names = np.array([column.name for column in aligned.columns])
    for table in aligned.tables:
        absent = {"source": "target_only", "target": "source_only"}[table.role]
        own = np.array([feature.origin != absent for feature in aligned.features])
        if table.outcome.classes and table.y.ndim == 1:
            yield from _telling(names[own], table.x[:, own], table)
        yield from _dull(names[own], table.x[:, own], table.role)
    yield from _missing_apart(aligned, names)


def drift(aligned: Aligned) -> list[Drift]:
    """How far the target lies from the source in every shared gene; see `alignment.Drift`.

    `p` is Kolmogorov's limit with the correction of Stephens (1970) for the sizes: within 0.03 of
    scipy's, which takes a minute for 20,000 genes.
    """
    from scipy.special import kolmogorov

    shared = np.array([feature.origin == "shared" for feature in aligned.features])
    source, target = (table.x[:, shared] for table in aligned.tables)
    n, m = (np.maximum((~np.isnan(x)).sum(axis=0), 1) for x in (source, target))
    ks = _distance(source, target)
    root = np.sqrt(n * m / (n + m))
    p = kolmogorov(ks * (root + 0.12 + 0.11 / root))
    apart = _standardised(source, target)
    missing = np.isnan(target).mean(axis=0) - np.isnan(source).mean(axis=0)
    names = [column.name for column, kept in zip(aligned.columns, shared, strict=True) if kept]
    return [
        Drift(
            name,
            standardised_difference=_known(apart[i]),
            ks=_known(ks[i]),
            p=_known(p[i]),
            missing_difference=float(missing[i]),
        )
        for i, name in enumerate(names)
    ]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _telling(names: NDArray, x: Numbers, table: Table) -> Iterator[Finding]:
    role, outcome = table.role, table.outcome.name
    leaks = {
        "outcome in a feature": (_labels(x, table.y), f"tell {outcome} in every {role} row"),
        "outcome in missingness": (_gaps(x, table.y), f"are measured or not by {outcome}: {role}"),
    }
    for check, (found, told) in leaks.items():
        if found.any():
            message = f"{_genes(names[found])} {told}"
            yield Finding(check, "leak", role, int(found.sum()), message)
    perfect = _separates(x, table.y) & ~leaks["outcome in a feature"][0]
    if perfect.any():
        message = (
            f"{_genes(names[perfect])} alone rank {outcome} without an error in the {role}: "
            "measured before the outcome was known?"
        )
        yield Finding("perfect predictor", "warning", role, int(perfect.sum()), message)


def _genes(names: NDArray) -> str:
    return f"{count(len(names), 'gene')} ({listed(names.tolist())})"


def _labels(x: Numbers, y: Numbers) -> Bools:
    """Genes whose values [n, G] are the classes [n] under another name, beyond chance.

    The bound is that of `features`; it rules out most genes by their number of values alone.
    """
    kinds = np.array([len(np.unique(column[~np.isnan(column)])) for column in x.T])
    plausible = kinds * math.log(len(np.unique(y))) - _log_shuffles(y) + math.log(x.shape[1])
    found = (plausible < math.log(IMPLAUSIBLE)) & (kinds > 1)
    for gene in np.flatnonzero(found):
        known = ~np.isnan(x[:, gene])
        pairs = np.unique(np.stack([x[known, gene], y[known]]), axis=1)
        found[gene] = pairs.shape[1] == kinds[gene] and len(np.unique(pairs[1])) > 1
    return found


def _gaps(x: Numbers, y: Numbers) -> Bools:
    """Genes measured in the patients of one class and in nobody else, beyond chance."""
    classes = np.unique(y)
    chance = 2 * math.log(max(len(classes), 1)) - _log_shuffles(y) + math.log(x.shape[1])
    if len(classes) != 2 or chance >= math.log(IMPLAUSIBLE):
        return np.zeros(x.shape[1], dtype=bool)
    first = np.isnan(x) == (y == classes[0])[:, None]
    return first.all(axis=0) | (~first).all(axis=0)


def _separates(x: Numbers, y: Numbers) -> Bools:
    """Genes with AUROC 0 or 1 for some class, beyond chance; see `features`."""
    found = np.zeros(x.shape[1], dtype=bool)
    for label in np.unique(y):
        member = y == label
        chance = math.log(2 * x.shape[1]) - _log_shuffles(member)
        if member.all() or chance >= math.log(IMPLAUSIBLE):
            continue
        (low, high), (least, most) = _range(x[member]), _range(x[~member])
        found |= (high < least) | (most < low)
    return found


def _range(x: Numbers) -> tuple[Numbers, Numbers]:
    """Smallest and largest known value of every gene; neither compares where there is none."""
    known = ~np.isnan(x)
    low, high = np.where(known, x, np.inf).min(axis=0), np.where(known, x, -np.inf).max(axis=0)
    seen = known.any(axis=0)
    return np.where(seen, low, np.nan), np.where(seen, high, np.nan)


def _log_shuffles(y: NDArray) -> float:
    sizes = np.unique(y, return_counts=True)[1]
    return math.lgamma(len(y) + 1) - sum(math.lgamma(size + 1) for size in sizes)


def _dull(names: NDArray, x: Numbers, role: str) -> Iterator[Finding]:
    low, high = _range(x)
    for check, found, told in (
        ("empty feature", np.isnan(low), "missing"),
        ("constant feature", low == high, "the same value"),
    ):
        if found.any():
            message = f"{told} for every patient of the {role}: {_genes(names[found])}"
            yield Finding(check, "warning", role, int(found.sum()), message)


def _missing_apart(aligned: Aligned, names: NDArray) -> Iterator[Finding]:
    """Genes missing much more often in one role than in the other; see `features`."""
    from scipy.stats import fisher_exact

    shared = np.array([feature.origin == "shared" for feature in aligned.features])
    here, there = (np.isnan(table.x) for table in aligned.tables)
    share, other = here.mean(axis=0), there.mean(axis=0)
    apart = []
    for gene in np.flatnonzero(shared & (np.abs(share - other) > MISSING_APART)):
        table = [[gone[:, gene].sum(), (~gone[:, gene]).sum()] for gone in (here, there)]
        if fisher_exact(table).pvalue < IMPLAUSIBLE / shared.sum():
            apart.append(f"{names[gene]} ({share[gene]:.0%} and {other[gene]:.0%})")
    if apart:
        message = f"missing unequally often in source and target: {listed(apart)}"
        yield Finding("missing apart", "warning", "source and target", len(apart), message)


def _distance(source: Numbers, target: Numbers) -> Numbers:
    """The two-sample Kolmogorov-Smirnov statistic of every gene; NaN where one has no value."""
    x = np.concatenate([source, target])
    sides = (~np.isnan(source), ~np.isnan(target))
    counts = [np.maximum(side.sum(axis=0), 1) for side in sides]
    step = np.concatenate([sides[0] / counts[0], -(sides[1] / counts[1])])
    order = np.argsort(x, axis=0)
    ordered = np.take_along_axis(x, order, axis=0)
    gap = np.abs(np.cumsum(np.take_along_axis(step, order, axis=0), axis=0))
    gap[:-1][ordered[1:] == ordered[:-1]] = 0  # the steps of equal values are one step
    missing = ~sides[0].any(axis=0) | ~sides[1].any(axis=0)
    return np.where(missing, np.nan, np.minimum(gap.max(axis=0), 1.0))


def _standardised(source: Numbers, target: Numbers) -> Numbers:
    """Cohen's d with equal weights; NaN where it is undefined."""
    moments = [_moments(x) for x in (source, target)]
    spread = np.sqrt((moments[0][1] + moments[1][1]) / 2)
    return (moments[1][0] - moments[0][0]) / np.where(spread > 0, spread, np.nan)


def _moments(x: Numbers) -> tuple[Numbers, Numbers]:
    """Mean and sample variance of every gene; NaN below two values."""
    known = ~np.isnan(x)
    n = known.sum(axis=0)
    n = np.where(n > 1, n, np.nan)
    mean = np.where(known, x, 0).sum(axis=0) / n
    return mean, np.where(known, (x - mean) ** 2, 0).sum(axis=0) / (n - 1)
