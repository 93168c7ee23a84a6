"""Classical learners on the same design, from scikit-learn, with fitted values as plain arrays.

Each constructor takes the task and its options and returns a `Baseline`. A baseline sees prepared
inputs ``[n, width]`` (its replica's own preparation) and answers raw outputs ``[n, C]`` like a
network: one logit (binary), C logits (multiclass), the value (regression), log cumulative hazards
(survival; several labels: see `labels`). It answers from the
arrays alone, so that what is served needs neither scikit-learn nor a pickle.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import logit, softmax

from medgraft.errors import ConfigError

# Probabilities of 0 and 1 have no logit; a tree that is this sure says so with |logit| 16.
EDGE = 1e-7

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Baseline:
    """A recipe: how to make the estimator, read its fitted values, and score rows with them.

    ``arrays`` turns an estimator into arrays whose class axis is that of ``estimator.classes_``;
    ``scores`` turns arrays and ``inputs [n, width]`` into scores ``[n, C]``: logits, or the value.
    ``affine``: each score is an intercept and a weighted sum of inputs, whose parts are known.
    ``maps``: it also reads what has positions, sequences ``[n, letters, length]`` or images.
    """

    make: Callable[[int], Any]
    arrays: Callable[[Any], Arrays]
    scores: Callable[[Arrays, np.ndarray], np.ndarray]
    task: str
    classes: int
    affine: bool = False
    maps: bool = False

    def fit(
        self, inputs: np.ndarray, y: np.ndarray, *, seed: int, weights: np.ndarray | None = None
    ) -> Fitted:
        """Fit on training patients ``inputs [n, width]``, ``y [n]``, each with its weight ``[n]``.

        Raises:
            ConfigError: there are weights, and the learner takes none; or patients are sequences
                or images, and it reads tables.
        """
        if inputs.ndim > 2 and not self.maps:
            raise ConfigError(_no_maps(self.task))
        estimator = self.make(seed)
        if weights is None:
            estimator.fit(inputs, y)
        elif "sample_weight" in inspect.signature(estimator.fit).parameters:
            estimator.fit(inputs, y, sample_weight=weights)
        else:
            raise ConfigError(
                f"the learner {type(estimator).__name__} cannot weigh the source's patients "
                "against the target's: expected learn_from: target"
            )
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
        if self.task in ("regression", "survival"):
            return scores
        if self.task == "binary":
            return scores.clip(logit(EDGE), logit(1 - EDGE))
        known = arrays["classes"][~np.isnan(arrays["classes"])].astype(int)
        # scikit-learn scores two classes by one logit, that of the second.
        scores = np.insert(scores[:, :1], 0, 0, axis=1) if len(known) == 2 else scores
        probability = np.full((len(inputs), self.classes), EDGE)
        probability[:, known] = softmax(scores[:, : len(known)], axis=1).clip(EDGE, 1 - EDGE)
        return np.log(probability)


def _no_maps(task: str) -> str:
    sequences, images = ("kmer_logistic", "pixel_regression")
    if task == "survival":
        sequences, images = ("kmer_cox", "pixel_cox")
    return (
        "this learner reads tables and genes, not sequences or images; leave it out of "
        f"strategies, or take {sequences} (sequences) or {images} (images)"
    )


class Learned(Protocol):
    """What answers from fitted values."""

    def outputs_from(self, arrays: Arrays, inputs: np.ndarray) -> np.ndarray:
        """Raw outputs ``[n, C]`` of prepared rows ``[n, width]``."""


@dataclass(frozen=True)
class Fitted:
    """A fitted baseline."""

    recipe: Learned
    arrays: Arrays

    @property
    def parameters(self) -> int:
        """How many numbers were fitted."""
        fitted = [value for name, value in self.arrays.items() if name != "classes"]
        return int(sum(np.isfinite(value).sum() for value in fitted))

    def outputs(self, inputs: np.ndarray) -> np.ndarray:
        """Raw outputs ``[n, C]`` of prepared rows ``[n, width]``."""
        return self.recipe.outputs_from(self.arrays, inputs)
