"""Logistic regression on how often every k-mer occurs."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from medgraft.construct import Count, Positive
from medgraft.errors import ConfigError
from medgraft.transfer.baselines.linear import linear_arrays, linear_scores, logistic_regression
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
    count = partial(kmer_counts, k=k, strands=strands)
    plain = logistic_regression(task, classes, C)

    def make(seed: int) -> Any:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer

        return make_pipeline(FunctionTransformer(count), plain.make(seed))

    def arrays(estimator: Any) -> Arrays:
        return linear_arrays(estimator[-1])

    def scores(fitted: Arrays, inputs: np.ndarray) -> np.ndarray:
        return linear_scores(fitted, count(inputs))

    return Baseline(make, arrays, scores, task, classes, maps=True)


def kmer_counts(inputs: np.ndarray, *, k: int, strands: bool) -> np.ndarray:
    """Counts ``[n, letters**k]`` of k-mers in one-hot ``inputs [n, letters, length]``.

    A k-mer with a position that holds no letter is not counted. Of ``strands``, the k-mer that
    comes first in the alphabet counts both.
    """
    if inputs.ndim != 3:
        raise ConfigError("kmer_logistic counts letters: expected sequences, got another modality")
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
