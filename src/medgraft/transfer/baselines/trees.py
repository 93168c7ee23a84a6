"""Gradient-boosted trees."""

from __future__ import annotations

from typing import Any

import numpy as np

from medgraft.construct import Count, Positive
from medgraft.transfer.baselines.recipe import Arrays, Baseline

# Rows that walk down all trees together.
CHUNK = 4096


def gradient_boosting(
    task: str,
    classes: int,
    *,
    trees: Count = 100,
    learning_rate: Positive = 0.1,
    depth: Count = 3,
    patients_in_leaf: Count = 5,
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
