"""Sequences: how often every k-mer occurs, then a learner of tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from medgraft.construct import Count, NonNegative, Positive
from medgraft.errors import ConfigError
from medgraft.transfer.baselines.cox import cox
from medgraft.transfer.baselines.linear import logistic_regression
from medgraft.transfer.baselines.recipe import Arrays, Baseline


def kmer_logistic(
    task: str, classes: int, *, k: Count = 4, C: Positive = 0.1, strands: bool = False
) -> Baseline:
    """Ridge-penalised logistic regression on counts of k-mers (linear where a value is predicted).

    Args:
        task: as everywhere.
        classes: how many.
        k: letters in a row.
        C: inverse of the penalty.
        strands: count a k-mer of DNA together with its reverse complement.
    """
    return _counted(logistic_regression(task, classes, C), k=k, strands=strands)


def kmer_cox(
    task: str,
    classes: int,
    *,
    horizons: Sequence[float] = (),
    k: Count = 4,
    ridge: NonNegative = 10.0,
    strands: bool = False,
) -> Baseline:
    """Cox regression with a ridge penalty on counts of k-mers.

    Args:
        task: as everywhere; survival.
        classes: none.
        horizons: as everywhere.
        k: letters in a row.
        ridge: of the penalty.
        strands: count a k-mer of DNA together with its reverse complement.

    Raises:
        ConfigError: the task is not survival.
    """
    return _counted(cox(task, classes, horizons=horizons, ridge=ridge), k=k, strands=strands)


def _counted(plain: Baseline, *, k: int, strands: bool) -> Baseline:
    """The same learner of counts."""
    count = partial(kmer_counts, k=k, strands=strands)

    def make(seed: int) -> Any:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer

        return make_pipeline(FunctionTransformer(count), plain.make(seed))

    def arrays(estimator: Any) -> Arrays:
        return plain.arrays(estimator[-1])

    def scores(fitted: Arrays, inputs: np.ndarray) -> np.ndarray:
        return plain.scores(fitted, count(inputs))

    return replace(plain, make=make, arrays=arrays, scores=scores, affine=False, maps=True)


def kmer_counts(inputs: np.ndarray, *, k: int, strands: bool) -> np.ndarray:
    """Counts ``[n, letters**k]`` of k-mers in one-hot ``inputs [n, letters, length]``.

    A k-mer with a position that holds no letter is not counted. Of ``strands``, the k-mer that
    comes first in the alphabet counts both.
    """
    if inputs.ndim != 3:
        raise ConfigError("this learner counts letters: expected sequences, got another modality")
    n, letters, length = inputs.shape
    windows = max(length - k + 1, 0)
    letter, known = inputs.argmax(1), inputs.max(1) > 0
    code, other = np.zeros((2, n, windows), np.int64)
    whole = np.ones((n, windows), bool)
    for place in range(k):
        here = slice(place, place + windows)
        code = code * letters + letter[:, here]
        other += (letters - 1 - letter[:, here]) * letters**place
        whole &= known[:, here]
    kinds = letters**k
    place = np.arange(n)[:, None] * kinds + (np.minimum(code, other) if strands else code)
    return np.bincount(place[whole], minlength=n * kinds).reshape(n, kinds).astype(np.float64)
