"""Classical learners on the same design, from scikit-learn, with fitted values as plain arrays.

Each constructor takes the task and its options and returns a `Baseline`. A baseline sees prepared
inputs ``[n, width]`` (its replica's own preparation) and answers raw outputs ``[n, C]`` like a
network: one logit (binary), C logits (multiclass), the value (regression). It answers from the
arrays alone, so that what is served needs neither scikit-learn nor a pickle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logit, softmax

# Probabilities of 0 and 1 have no logit; a tree that is this sure says so with |logit| 16.
EDGE = 1e-7
# Rows that walk down all trees together.
CHUNK = 4096

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Baseline:
    """A recipe: how to make the estimator, read its fitted values, and score rows with them.

    ``arrays`` turns an estimator into arrays whose class axis is that of ``estimator.classes_``;
    ``scores`` turns arrays and ``inputs [n, width]`` into scores ``[n, C]``: logits, or the value.
    """

    make: Callable[[int], Any]
    arrays: Callable[[Any], Arrays]
    scores: Callable[[Arrays, np.ndarray], np.ndarray]
    task: str
    classes: int

    def fit(self, inputs: np.ndarray, y: np.ndarray, *, seed: int) -> Fitted:
        """Fit on training patients ``inputs [n, width]``, ``y [n]``."""
        estimator = self.make(seed)
        estimator.fit(inputs, y)
        arrays = self.arrays(estimator)
        if self.task == "multiclass":
            arrays |= {"classes": estimator.classes_.astype(np.float64)}
        return Fitted(self, arrays)

    def outputs_from(self, arrays: Arrays, inputs: np.ndarray) -> np.ndarray:
        """Raw outputs ``[n, C]``; a class absent from training gets the lowest logit.

        Args:
            arrays: what `Fitted.arrays` held; NaN at the end of an axis is padding.
            inputs: prepared rows ``[n, width]``.
        """
        scores = self.scores(arrays, inputs)
        if self.task == "regression":
            return scores
        if self.task == "binary":
            return scores.clip(logit(EDGE), logit(1 - EDGE))
        known = arrays["classes"][~np.isnan(arrays["classes"])].astype(int)
        # scikit-learn scores two classes by one logit, that of the second.
        scores = np.insert(scores[:, :1], 0, 0, axis=1) if len(known) == 2 else scores
        probability = np.full((len(inputs), self.classes), EDGE)
        probability[:, known] = softmax(scores[:, : len(known)], axis=1).clip(EDGE, 1 - EDGE)
        return np.log(probability)


@dataclass(frozen=True)
class Fitted:
    """A fitted baseline."""

    recipe: Baseline
    arrays: Arrays

    @property
    def parameters(self) -> int:
        """How many numbers were fitted."""
        fitted = [value for name, value in self.arrays.items() if name != "classes"]
        return int(sum(np.isfinite(value).sum() for value in fitted))

    def outputs(self, inputs: np.ndarray) -> np.ndarray:
        """Raw outputs ``[n, C]`` of prepared rows ``[n, width]``."""
        return self.recipe.outputs_from(self.arrays, inputs)


def logistic_regression(task: str, classes: int, C: float = 1.0) -> Baseline:
    """Ridge-penalised logistic regression (linear regression where the outcome is a value)."""

    def make(seed: int) -> Any:
        from sklearn.linear_model import LogisticRegression, Ridge

        del seed
        return (
            Ridge(alpha=1 / C) if task == "regression" else LogisticRegression(C=C, max_iter=2000)
        )

    return Baseline(make, linear_arrays, linear_scores, task, classes)


def linear_arrays(estimator: Any) -> Arrays:
    """Coefficients ``[C, width]`` and intercepts ``[C]``."""
    coefficients = np.atleast_2d(estimator.coef_)
    return {"coefficients": coefficients, "intercepts": np.atleast_1d(estimator.intercept_)}


def linear_scores(arrays: Arrays, inputs: np.ndarray) -> np.ndarray:
    """Weighted sums ``[n, C]``."""
    return inputs @ arrays["coefficients"].T + arrays["intercepts"]


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

    def make(seed: int) -> Any:
        from sklearn import ensemble

        kind = "Regressor" if task == "regression" else "Classifier"
        return getattr(ensemble, f"HistGradientBoosting{kind}")(
            max_iter=trees,
            learning_rate=learning_rate,
            max_depth=depth,
            min_samples_leaf=patients_in_leaf,
            early_stopping=False,
            random_state=seed % 2**32,
        )

    return Baseline(make, tree_arrays, tree_scores, task, classes)


NODE_FIELDS = (
    "feature_idx",
    "num_threshold",
    "missing_go_to_left",
    "left",
    "right",
    "value",
    "is_leaf",
)


def tree_arrays(estimator: Any) -> Arrays:
    """All trees as one array ``[rounds, C, nodes, fields]``, NaN beyond a tree's own nodes."""
    rounds = estimator._predictors
    longest = max(len(tree.nodes) for trees in rounds for tree in trees)
    nodes = np.full((len(rounds), len(rounds[0]), longest, len(NODE_FIELDS)), np.nan)
    for i, trees in enumerate(rounds):
        for j, tree in enumerate(trees):
            for k, field in enumerate(NODE_FIELDS):
                nodes[i, j, : len(tree.nodes), k] = tree.nodes[field]
    return {"nodes": nodes, "start": np.ravel(estimator._baseline_prediction)}


def tree_scores(arrays: Arrays, inputs: np.ndarray) -> np.ndarray:
    """The start plus the leaf every tree sends a row to, summed: ``[n, C]``."""
    trees, start = arrays["nodes"], arrays["start"]
    each = trees.reshape(-1, *trees.shape[2:])
    leaves = [
        leaf_values(each, inputs[at : at + CHUNK]).reshape(-1, *trees.shape[:2]).sum(1)
        for at in range(0, max(len(inputs), 1), CHUNK)
    ]
    return start + np.concatenate(leaves)


def leaf_values(trees: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Values ``[n, T]`` of the leaves of trees ``[T, nodes, fields]`` that ``inputs`` fall into.

    Prepared inputs are never missing. A tree that is all padding counts for nothing.
    """
    field = {name: trees[..., k] for k, name in enumerate(NODE_FIELDS)}
    tree, row = np.arange(len(trees)), np.arange(len(inputs))[:, None]
    node = np.zeros((len(inputs), len(trees)), dtype=int)
    while not (done := field["is_leaf"][tree, node] != 0).all():
        seen = inputs[row, np.where(done, 0, field["feature_idx"][tree, node]).astype(int)]
        left = seen <= field["num_threshold"][tree, node]
        after = np.where(left, field["left"][tree, node], field["right"][tree, node])
        node = np.where(done, node, after).astype(int)
    return np.nan_to_num(field["value"][tree, node])
