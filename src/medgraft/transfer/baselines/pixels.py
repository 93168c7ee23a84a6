"""Images: principal components of the pixels, then logistic regression."""

from __future__ import annotations

from typing import Any

import numpy as np

from medgraft.construct import Count, Positive
from medgraft.transfer.baselines.linear import linear_arrays, linear_scores
from medgraft.transfer.baselines.recipe import Arrays, Baseline

# Of the first component's variance: what varies less is the rounding of pixels that never vary, a
# film's black frame for example, and whitening would make a weight of 1e15 of it.
LEAST = 1e-9


def pixel_regression(
    task: str, classes: int, *, components: Count = 50, C: Positive = 1.0
) -> Baseline:
    """Ridge-penalised logistic regression (linear for a value) on whitened principal components.

    Components and regression are both linear, so what is kept is one weight a pixel.

    Args:
        task: of the outcome.
        classes: how many there are.
        components: at most as many as the training images have.
        C: inverse strength of the penalty on the components' weights.
    """

    def make(seed: int) -> PixelRegression:
        return PixelRegression(components, C, value=task == "regression", seed=seed)

    def scores(arrays: Arrays, inputs: np.ndarray) -> np.ndarray:
        return linear_scores(arrays, flat(inputs))

    return Baseline(make, pixel_weights, scores, task, classes, affine=True, maps=True)


class PixelRegression:
    """The two fits, one after the other, as one estimator."""

    def __init__(self, components: int, C: float, *, value: bool, seed: int) -> None:
        from sklearn.linear_model import LogisticRegression, Ridge

        self.components, self.seed = components, seed % 2**32
        self.linear: Any = Ridge(alpha=1 / C) if value else LogisticRegression(C=C, max_iter=2000)
        self.pca: Any = None

    def fit(self, images: np.ndarray, y: np.ndarray) -> None:
        """Fit on images ``[n, c, h, w]`` and outcomes ``[n]``."""
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


def pixel_weights(estimator: PixelRegression) -> Arrays:
    """Weights ``[C, pixels]`` and intercepts ``[C]`` that do both steps at once."""
    pca, weights = estimator.pca, linear_arrays(estimator.linear)
    spread = np.sqrt(pca.explained_variance_[: estimator.kept])
    spread[spread == 0] = 1.0  # all training images are one
    folded = weights["coefficients"] / spread @ pca.components_[: estimator.kept]
    intercepts = weights["intercepts"] - folded @ pca.mean_
    return {"coefficients": folded, "intercepts": intercepts}


def flat(images: np.ndarray) -> np.ndarray:
    """``[n, c, h, w]`` to ``[n, pixels]``."""
    return images.reshape(len(images), -1)
