"""Tokens of sequences to one channel per letter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from medgraft.errors import StageError

UNKNOWN = 254  # the token of an unknown letter, as in `cohorts.alphabets`


class SequenceInput(nn.Module):
    """One-hot letters, made when they are needed: on disk and in batches a letter is one byte.

    Padding, an unknown letter and a masked one are zeros in every channel. Nothing is fitted.

    Args:
        features: the one feature of a prepared ``schema.json``: kind ``sequence``, its ``letters``
            (token i is letter i, anything higher is no letter) and its ``length``.
    """

    places: ClassVar[int] = 1

    def __init__(self, features: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        kinds = [feature["kind"] for feature in features]
        if kinds != ["sequence"]:
            raise StageError(f"schema.json: expected one sequence feature, got {', '.join(kinds)}")
        self.width = len(features[0]["letters"])

    def fit(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Nothing to fit."""
        del rows
        return {}

    def forward(self, x: Tensor) -> Tensor:
        """``uint8 [n, length]`` tokens to ``float32 [n, letters, length]``."""
        letters = torch.arange(self.width, dtype=torch.uint8, device=x.device)
        return (x.unsqueeze(-2) == letters[:, None]).float()

    def collect(self, shares: Tensor) -> Tensor:
        """What letters ``[..., letters, length]`` contribute, as positions ``[..., length]``."""
        return shares.sum(-2)
