"""Specific layers: one head per kind of outcome, with its loss."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class BinaryHead(nn.Module):
    """One logit per patient; loss is binary cross-entropy."""

    def __init__(self, width: int, classes: int = 2) -> None:
        super().__init__()
        del classes
        self.linear = nn.Linear(width, 1)

    def fit(self, y: np.ndarray) -> dict[str, Tensor]:
        """Nothing to fit."""
        del y
        return {}

    def forward(self, features: Tensor) -> Tensor:
        """``[n, width]`` to logits ``[n, 1]``."""
        return self.linear(features)

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Loss per patient ``[n]``."""
        return functional.binary_cross_entropy_with_logits(outputs[..., 0], y, reduction="none")


class MulticlassHead(nn.Module):
    """One logit per class; loss is cross-entropy."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)

    def fit(self, y: np.ndarray) -> dict[str, Tensor]:
        """Nothing to fit."""
        del y
        return {}

    def forward(self, features: Tensor) -> Tensor:
        """``[n, width]`` to logits ``[n, classes]``."""
        return self.linear(features)

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Loss per patient ``[n]``."""
        return functional.cross_entropy(outputs, y.long(), reduction="none")


class RegressionHead(nn.Module):
    """The value in its own unit; loss is the squared error in standard deviations.

    ``centre`` and ``spread`` of the outcome are fitted on the replica's training patients.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, width: int, classes: int = 0) -> None:
        super().__init__()
        del classes
        self.linear = nn.Linear(width, 1)
        self.register_buffer("centre", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def fit(self, y: np.ndarray) -> dict[str, Tensor]:
        """Mean and standard deviation of the outcome ``[n]``."""
        spread = float(y.std()) or 1.0
        return {"centre": torch.tensor(float(y.mean())), "spread": torch.tensor(spread)}

    def forward(self, features: Tensor) -> Tensor:
        """``[n, width]`` to values ``[n, 1]``."""
        return self.linear(features) * self.spread + self.centre

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Loss per patient ``[n]``."""
        return ((outputs[..., 0] - y) / self.spread) ** 2
