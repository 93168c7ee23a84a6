"""Images: principal components of the pixels, then a weighted sum of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from medgraft.construct import Count, NonNegative, Positive
from medgraft.transfer.baselines.cox import cox
from medgraft.transfer.baselines.linear import logistic_regression
from medgraft.transfer.baselines.recipe import Arrays, Baseline

# Of the first component's variance: what varies less is the rounding of pixels that never vary, a
# film's black frame for example, and whitening would make a weight of 1e15 of it.
LEAST = 1e-9


def pixel_regression(
    task: str, classes: int, *, components: Count = 50, C: Positive = 1.0
) -> Baseline:
    """Ridge-penalised logistic regression (linear for a value) on whitened principal components.

    Args:
        task: of the outcome.
        classes: how many there are.
        components: at most as many as the training images have.
        C: inverse strength of the penalty on the components' weights.
    """
    return _of_pixels(logistic_regression(task, classes, C), components)


def pixel_cox(
    task: str,
    classes: int,
    *,
    horizons: Sequence[float] = (),
    components: Count = 50,
    ridge: NonNegative = 1.0,
) -> Baseline:
    """Cox regression with a ridge penalty on whitened principal components.

    Args:
        task: of the outcome; survival.
        classes: none.
        horizons: as everywhere.
        components: at most as many as the training images have.
        ridge: of the penalty on the components' weights.

    Raises:
        ConfigError: the task is not survival.
    """
    return _of_pixels(cox(task, classes, horizons=horizons, ridge=ridge), components)


def _of_pixels(plain: Baseline, components: int) -> Baseline:
    """The same learner of components; both are linear, so what is kept is one weight a pixel."""

    def make(seed: int) -> OnComponents:
        return OnComponents(plain.make(seed), components, seed)

    def arrays(estimator: OnComponents) -> Arrays:
        return estimator.of_pixels(**plain.arrays(estimator.linear))

    def scores(fitted: Arrays, inputs: np.ndarray) -> np.ndarray:
        return plain.scores(fitted, flat(inputs))

    return replace(plain, make=make, arrays=arrays, scores=scores, maps=True)


class OnComponents:
    """The two fits, one after the other, as one estimator."""

    def __init__(self, linear: Any, components: int, seed: int) -> None:
        self.linear, self.components, self.seed = linear, components, seed % 2**32
        self.pca: Any = None

    def fit(self, images: np.ndarray, y: np.ndarray) -> None:
        """Fit on images ``[n, c, h, w]`` and outcomes ``[n, ...]``."""
        from sklearn.decomposition import PCA

        pixels = flat(images)
        # As many components as patients would fit each patient exactly.
        most = min(self.components, len(pixels) - 1, pixels.shape[1])
        self.pca = PCA(most, whiten=True, random_state=self.seed)
        self.linear.fit(self.pca.fit_transform(pixels)[:, : self.kept], y)

    @property
    def kept(self) -> int:
        """How many components tell images apart; at least one, as a regression needs an input."""
        variance = self.pca.explained_variance_
        return max(1, int((variance > LEAST * variance[0]).sum()))

    @property
    def classes_(self) -> np.ndarray:
        """The classes seen."""
        return self.linear.classes_

    def of_pixels(self, coefficients: np.ndarray, intercepts: np.ndarray) -> Arrays:
        """Weights ``[..., pixels]`` and intercepts ``[C]`` that do both steps at once."""
        spread = np.sqrt(self.pca.explained_variance_[: self.kept])
        spread[spread == 0] = 1.0  # all training images are one
        folded = coefficients / spread @ self.pca.components_[: self.kept]
        return {"coefficients": folded, "intercepts": intercepts - folded @ self.pca.mean_}


def flat(images: np.ndarray) -> np.ndarray:
    """``[n, c, h, w]`` to ``[n, pixels]``."""
    return images.reshape(len(images), -1)
