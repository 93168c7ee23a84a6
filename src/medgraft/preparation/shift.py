"""Whether a classifier can tell the source from the target, by what was measured."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FOLDS = 5
PERMUTATIONS = 999
MOST_ROWS = 2000
"""Rows of a role that are looked at; with so many, what is not found does not matter."""
COMPONENTS = 50
WAVES = 100
"""Random Fourier features: what makes the classifier see more than a shift of the means."""


@dataclass(frozen=True)
class Apart:
    """How well a classifier tells target rows from source rows that it was not trained on.

    auroc: 0.5 when it cannot. p: of one that high if the cohorts were alike. source and target:
    patients looked at. None where undefined.
    """

    auroc: float | None
    p: float | None
    source: int
    target: int


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of both cohorts: x [n, d] may hold NaN; patient [n] 0..P-1; target [P]; y [n] or None.

    y: the class of every row, where both cohorts have the same ones.
    """

    x: Floats
    patient: Integers
    target: NDArray[np.bool_]
    y: Integers | None = None


def chosen(patient: tuple[Integers, Integers], *, seed: int) -> tuple[Integers, Integers]:
    """Rows of source and target to look at: of each at most 2,000, all of a drawn patient's."""
    generator = np.random.default_rng([seed, 2])
    return _some(patient[0], generator), _some(patient[1], generator)


def both(
    x: tuple[Floats, Floats],
    patient: tuple[Integers, Integers],
    *,
    y: tuple[Floats, Floats] | None,
) -> Rows:
    """Put source and target rows together."""
    codes = [np.unique(code, return_inverse=True)[1] for code in patient]
    people = int(codes[0].max()) + 1
    return Rows(
        x=np.concatenate(x).astype(np.float64),
        patient=np.concatenate([codes[0], codes[1] + people]).astype(np.int64),
        target=np.arange(people + int(codes[1].max()) + 1) >= people,
        y=None if y is None else np.concatenate(y).astype(np.int64),
    )


def tell_apart(rows: Rows, *, seed: int, within_classes: bool = False) -> Apart:
    """Test whether a cross-validated classifier tells the target from the source.

    The classifier two-sample test (Lopez-Paz & Oquab 2017, arXiv:1610.06545) with ridge regression
    on normal scores, principal components and random Fourier features (Rahimi & Recht 2007). All
    of these and the folds are made without knowing who is target, and p comes from giving the
    cohorts' names to other patients and doing everything anew, so it is exact. A row is compared
    with rows of its own test fold alone.

    within_classes: compare, and exchange, only patients of the same outcome. Where the cohorts
    differ in how often the outcome comes and in nothing else, this finds nothing.
    """
    generator = np.random.default_rng([seed, 3])
    stratum = _classes_of_patients(rows) if within_classes else np.zeros(len(rows.target), int)
    group = rows.y if within_classes and rows.y is not None else np.zeros(len(rows.x), int)
    names = _exchanged(rows.target, stratum, generator)
    fold = (generator.permutation(len(rows.target)) % FOLDS)[rows.patient]
    areas = _areas(_features(rows.x, generator), names[rows.patient], fold, group)
    target = int(rows.target.sum())
    people = (len(rows.target) - target, target)
    if np.isnan(areas[0]):
        return Apart(None, None, *people)
    as_high = (areas[1:] >= areas[0] - 1e-12).sum()
    return Apart(float(areas[0]), float((1 + as_high) / (1 + PERMUTATIONS)), *people)


def missing(rows: Rows) -> Rows | None:
    """Keep only which values are missing; None where that is alike in all rows."""
    gaps = np.isnan(rows.x)
    varies = gaps.any(axis=0) & ~gaps.all(axis=0)
    if not varies.any():
        return None
    return Rows(gaps[:, varies].astype(np.float64), rows.patient, rows.target, rows.y)


def _some(code: Integers, generator: np.random.Generator) -> Integers:
    if len(code) <= MOST_ROWS:
        return np.arange(len(code))
    order = generator.permutation(int(code.max()) + 1)
    total = np.cumsum(np.bincount(code)[order])
    return np.flatnonzero(np.isin(code, order[: max(1, int((total <= MOST_ROWS).sum()))]))


def _classes_of_patients(rows: Rows) -> Integers:
    """Code the patients by how many of their rows have which class: such are exchangeable."""
    assert rows.y is not None
    counts = np.zeros((len(rows.target), int(rows.y.max()) + 1), int)
    np.add.at(counts, (rows.patient, rows.y), 1)
    return np.unique(counts, axis=0, return_inverse=True)[1].reshape(-1)


def _exchanged(
    target: NDArray[np.bool_], stratum: Integers, generator: np.random.Generator
) -> Floats:
    """Who is target, [P, 1 + permutations]; the truth first, then exchanged within strata."""
    names = np.tile(target.astype(np.float64)[:, None], (1, 1 + PERMUTATIONS))
    for one in np.unique(stratum):
        inside = np.flatnonzero(stratum == one)
        names[inside, 1:] = generator.permuted(names[inside, 1:], axis=0)
    return names


def _features(x: Floats, generator: np.random.Generator) -> Floats:
    """What the classifier reads, [n, f], each of mean 0 and variance 1."""
    gaps = np.isnan(x)
    known = _scaled(np.concatenate([_normal_scores(x), gaps], axis=1))
    if known.shape[1] > COMPONENTS:
        known = _scaled(_components(known))
    if not known.shape[1]:
        return np.zeros((len(x), 1))
    waves = generator.normal(size=(known.shape[1], WAVES)) / np.sqrt(known.shape[1])
    curved = np.cos(known @ waves + generator.uniform(0, 2 * np.pi, WAVES))
    return np.concatenate([known, _scaled(curved)], axis=1)


def _normal_scores(x: Floats) -> Floats:
    """Ranks as normal quantiles, column by column, so that no outlier rules; 0 where missing."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    gaps = np.isnan(x)
    ranks = rankdata(np.where(gaps, np.inf, x), axis=0)  # the missing come last, and hold no place
    share = (ranks - 0.5) / np.maximum((~gaps).sum(axis=0), 1)
    return np.asarray(ndtri(np.where(gaps, 0.5, share)))


def _scaled(x: Floats) -> Floats:
    spread = x.std(axis=0)
    varies = spread > 1e-9
    return (x[:, varies] - x[:, varies].mean(axis=0)) / spread[varies]


def _components(x: Floats) -> Floats:
    """The scores of the first principal components, [n, 50 or fewer]."""
    gram = x @ x.T if len(x) < x.shape[1] else x.T @ x
    value, vector = np.linalg.eigh(gram)
    most = slice(None, -COMPONENTS - 1, -1)
    scores = vector[:, most] * np.sqrt(np.maximum(value[most], 0))
    return scores if len(x) < x.shape[1] else x @ vector[:, most]


def _areas(x: Floats, names: Floats, fold: Integers, group: Integers) -> Floats:
    """Pairs of one fold and group that are ranked right, of all such pairs, for every naming."""
    won, pairs = np.zeros((2, names.shape[1]))
    for one in range(FOLDS):
        test = fold == one
        scores = _predict(x[~test], names[~test], x[test])
        for part in np.unique(group[test]):
            inside = group[test] == part
            more, of = _won(scores[inside], names[test][inside])
            won += more
            pairs += of
    return np.divide(won, pairs, out=np.full_like(won, np.nan), where=pairs > 0)


def _predict(x: Floats, names: Floats, tested: Floats) -> Floats:
    """Ridge regression; the penalty is that of coefficients which all together explain half."""
    middle = x.mean(axis=0)
    centred = x - middle
    gram = centred.T @ centred + x.shape[1] * np.eye(x.shape[1])
    return np.asarray((tested - middle) @ np.linalg.solve(gram, centred.T @ names))


def _won(scores: Floats, names: Floats) -> tuple[Floats, Floats]:
    from scipy.stats import rankdata

    target = names.sum(axis=0)
    ranks = rankdata(scores.round(12), axis=0)
    won = (ranks * names).sum(axis=0) - target * (target + 1) / 2
    return won, target * (len(names) - target)
