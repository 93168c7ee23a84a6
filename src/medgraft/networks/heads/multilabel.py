"""Specific layers for several labels, any number of which may hold, with their loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class MultilabelHead(nn.Module):
    """One logit per label; loss is the mean binary cross-entropy of the labels recorded."""

    def __init__(self, width: int, outcome: Mapping[str, Any]) -> None:
        super().__init__()
        self.outputs = len(outcome["classes"])
        self.linear = nn.Linear(width, self.outputs)

    def fit(self, y: np.ndarray) -> dict[str, Tensor]:
        """Nothing to fit."""
        del y
        return {}

    def forward(self, features: Tensor) -> Tensor:
        """``[n, width]`` to logits ``[n, L]``."""
        return self.linear(features)

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Loss per patient ``[n]`` of ``y [n, L]``, NaN where not recorded; 0 without any label."""
        known = ~torch.isnan(y)
        truth = torch.where(known, y, torch.zeros_like(y))
        losses = functional.binary_cross_entropy_with_logits(outputs, truth, reduction="none")
        return (losses * known).sum(-1) / known.sum(-1).clamp(min=1)
