"""Classical learners on the same design, from scikit-learn, with fitted values as plain arrays.

Each constructor takes the task and its options and returns a `Baseline`. A baseline sees prepared
inputs ``[n, width]`` (its replica's own preparation) and answers raw outputs ``[n, C]`` like a
network: one logit (binary), C logits (multiclass), the value (regression).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logit

# Probabilities of 0 and 1 have no logit; a tree that is this sure says so with |logit| 16.
EDGE = 1e-7


@dataclass(frozen=True)
class Baseline:
    """A recipe: how to make the estimator, and how to read its fitted values."""

    make: Callable[[int], Any]
    arrays: Callable[[Any], dict[str, np.ndarray]]
    task: str
    classes: int

    def fit(self, inputs: np.ndarray, y: np.ndarray, *, seed: int) -> Fitted:
        """Fit on training patients ``inputs [n, width]``, ``y [n]``."""
        estimator = self.make(seed)
        estimator.fit(inputs, y)
        return Fitted(estimator, self.arrays(estimator), self.task, self.classes)


@dataclass(frozen=True)
class Fitted:
    """A fitted baseline."""

    estimator: Any
    arrays: dict[str, np.ndarray]
    task: str
    classes: int

    @property
    def parameters(self) -> int:
        """How many numbers were fitted."""
        return int(sum(np.isfinite(value).sum() for value in self.arrays.values()))

    def outputs(self, inputs: np.ndarray) -> np.ndarray:
        """Raw outputs ``[n, C]``; a class absent from training gets the lowest logit."""
        if self.task == "regression":
            return self.estimator.predict(inputs)[:, None]
        probability = np.full((len(inputs), self.classes), EDGE)
        known = self.estimator.classes_.astype(int)
        probability[:, known] = self.estimator.predict_proba(inputs).clip(EDGE, 1 - EDGE)
        return logit(probability[:, 1:]) if self.task == "binary" else np.log(probability)


def logistic_regression(task: str, classes: int, C: float = 1.0) -> Baseline:
    """Ridge-penalised logistic regression (linear regression where the outcome is a value)."""
    from sklearn.linear_model import LogisticRegression, Ridge

    def make(seed: int) -> Any:
        del seed
        return (
            Ridge(alpha=1 / C) if task == "regression" else LogisticRegression(C=C, max_iter=2000)
        )

    return Baseline(make, linear_arrays, task, classes)


def linear_arrays(estimator: Any) -> dict[str, np.ndarray]:
    """Coefficients ``[C, width]`` and intercepts ``[C]``."""
    coefficients = np.atleast_2d(estimator.coef_)
    return {"coefficients": coefficients, "intercepts": np.atleast_1d(estimator.intercept_)}


def gradient_boosting(
    task: str,
    classes: int,
    *,
    trees: int = 100,
    learning_rate: float = 0.1,
    depth: int = 3,
    patients_in_leaf: int = 5,
) -> Baseline:
    """Histogram gradient boosting; defaults are cautious, for cohorts of tens of patients."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier

    def make(seed: int) -> Any:
        return kind(
            max_iter=trees,
            learning_rate=learning_rate,
            max_depth=depth,
            min_samples_leaf=patients_in_leaf,
            early_stopping=False,
            random_state=seed % 2**32,
        )

    return Baseline(make, tree_arrays, task, classes)


NODE_FIELDS = (
    "feature_idx",
    "num_threshold",
    "missing_go_to_left",
    "left",
    "right",
    "value",
    "is_leaf",
)


def tree_arrays(estimator: Any) -> dict[str, np.ndarray]:
    """All trees as one array ``[rounds, C, nodes, fields]``, NaN beyond a tree's own nodes."""
    rounds = estimator._predictors
    longest = max(len(tree.nodes) for trees in rounds for tree in trees)
    nodes = np.full((len(rounds), len(rounds[0]), longest, len(NODE_FIELDS)), np.nan)
    for i, trees in enumerate(rounds):
        for j, tree in enumerate(trees):
            for k, field in enumerate(NODE_FIELDS):
                nodes[i, j, : len(tree.nodes), k] = tree.nodes[field]
    return {"nodes": nodes, "start": np.ravel(estimator._baseline_prediction)}
