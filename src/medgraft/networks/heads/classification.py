"""Specific layers for one class out of two or more, with their losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn import functional


class BinaryHead(nn.Module):
    """One logit per patient; loss is binary cross-entropy."""

    def __init__(self, width: int, outcome: Mapping[str, Any]) -> None:
        super().__init__()
        del outcome
        self.outputs = 1
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

    def __init__(self, width: int, outcome: Mapping[str, Any]) -> None:
        super().__init__()
        self.outputs = len(outcome["classes"])
        self.linear = nn.Linear(width, self.outputs)

    def fit(self, y: np.ndarray) -> dict[str, Tensor]:
        """Nothing to fit."""
        del y
        return {}

    def forward(self, features: Tensor) -> Tensor:
        """``[n, width]`` to logits ``[n, classes]``."""
        return self.linear(features)

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Loss per patient ``[n]``."""
        return functional.cross_entropy(outputs, y.nan_to_num().long(), reduction="none")
