"""Linear and logistic regression that leaves most inputs out: for more genes than patients."""

from __future__ import annotations

from typing import Any

import numpy as np

from medgraft.construct import Positive, Share
from medgraft.transfer.baselines.linear import linear_arrays, linear_scores
from medgraft.transfer.baselines.recipe import Baseline


def elastic_net(task: str, classes: int, C: Positive = 0.1, l1_ratio: Share = 0.5) -> Baseline:
    """Zou and Hastie, "Regularization and variable selection via the elastic net", 2005.

    Args:
        task: kind of outcome.
        classes: how many.
        C: weight of the summed loss against the penalty, as in ridge logistic regression.
        l1_ratio: share of the penalty that is on absolute values; 0: ridge, 1: lasso.
    """

    def make(seed: int) -> Any:
        from sklearn.linear_model import LogisticRegression

        if task == "regression":
            return SummedLoss(C, l1_ratio)
        return LogisticRegression(
            C=C,
            l1_ratio=l1_ratio,
            solver="saga",
            max_iter=2000,
            tol=1e-4,
            random_state=seed % 2**32,
        )

    return Baseline(make, linear_arrays, linear_scores, task, classes, affine=True)


class SummedLoss:
    """scikit-learn's ElasticNet, which averages the loss, with the loss summed over patients."""

    coef_: np.ndarray
    intercept_: float

    def __init__(self, C: float, l1_ratio: float) -> None:
        self.C = C
        self.l1_ratio = l1_ratio

    def fit(
        self, inputs: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> SummedLoss:
        """Fit on ``inputs [n, width]``, ``y [n]``, each patient with its weight ``[n]``."""
        from sklearn.linear_model import ElasticNet

        patients = len(y) if sample_weight is None else float(sample_weight.sum())
        learner = ElasticNet(alpha=1 / (self.C * patients), l1_ratio=self.l1_ratio)
        found = learner.fit(inputs, y, sample_weight=sample_weight)
        self.coef_, self.intercept_ = found.coef_, found.intercept_
        return self

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Values ``[n]``."""
        return inputs @ self.coef_ + self.intercept_
