"""Specific layers for a value, with their loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class RegressionHead(nn.Module):
    """The value in its own unit; loss is the squared error in standard deviations.

    ``centre`` and ``spread`` of the outcome are fitted on the replica's training patients.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, width: int, outcome: Mapping[str, Any]) -> None:
        super().__init__()
        del outcome
        self.outputs = 1
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
