"""Linear and logistic regression."""

from __future__ import annotations

from typing import Any

import numpy as np

from medgraft.construct import Positive
from medgraft.transfer.baselines.recipe import Arrays, Baseline


def logistic_regression(task: str, classes: int, C: Positive = 1.0) -> Baseline:
    """Ridge-penalised logistic regression (linear regression where the outcome is a value)."""

    def make(seed: int) -> Any:
        from sklearn.linear_model import LogisticRegression, Ridge

        del seed
        return (
            Ridge(alpha=1 / C) if task == "regression" else LogisticRegression(C=C, max_iter=2000)
        )

    return Baseline(make, linear_arrays, linear_scores, task, classes, affine=True)


def linear_arrays(estimator: Any) -> Arrays:
    """Coefficients ``[C, width]`` and intercepts ``[C]``."""
    coefficients = np.atleast_2d(estimator.coef_)
    return {"coefficients": coefficients, "intercepts": np.atleast_1d(estimator.intercept_)}


def linear_scores(arrays: Arrays, inputs: np.ndarray) -> np.ndarray:
    """Weighted sums ``[n, C]``."""
    return inputs @ arrays["coefficients"].T + arrays["intercepts"]
