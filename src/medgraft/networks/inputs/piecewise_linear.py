"""Numbers as how far they have come through each of their quantile bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from medgraft.construct import Count
from medgraft.networks.inputs.table import TableInput


class PiecewiseLinearInput(nn.Module):
    """`TableInput` with a piecewise linear encoding in the place of every standardised number.

    Gorishniy et al., "On embeddings for numerical features in tabular deep learning", 2022,
    equation 1: bin t between edges ``b_0, …, b_T`` is ``(x - b_{t-1}) / (b_t - b_{t-1})``, at least
    0 but for the first bin, at most 1 but for the last. The edges are quantiles of the replica's
    own training patients. Where patients share values several edges coincide: such an empty bin is
    0, so that every replica has the same shape. A missing value is that of the median patient.

    Args:
        features: the ``features`` of a prepared ``schema.json``, numbers before categories.
        bins: per number.
    """

    places: ClassVar[int] = 0

    edges: Tensor
    median: Tensor

    def __init__(self, features: Sequence[Mapping[str, Any]], bins: Count = 8) -> None:
        super().__init__()
        self.bins = bins
        self.table = TableInput(features)
        self.numbers = self.table.numbers
        self.register_buffer("edges", torch.full((self.numbers, bins + 1), torch.nan))
        self.register_buffer("median", torch.full((self.numbers,), torch.nan))
        self.width = self.numbers * (bins - 1) + self.table.width

    def fit(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Quantiles of the numbers over ``rows`` ``[n, d]``, ignoring missing values."""
        shares = np.append(np.linspace(0, 1, self.bins + 1), 0.5)
        found = np.full((self.numbers, len(shares)), np.nan, dtype=np.float32)
        for column in range(self.numbers):
            seen = rows[:, column][~np.isnan(rows[:, column])]
            if len(seen):
                found[column] = np.quantile(seen, shares)
        inner = {f"table.{name}": value for name, value in self.table.fit(rows).items()}
        edges, median = torch.from_numpy(found[:, :-1]), torch.from_numpy(found[:, -1])
        return inner | {"edges": edges.contiguous(), "median": median.contiguous()}

    def forward(self, x: Tensor) -> Tensor:
        """``[n, d]`` raw values (NaN = missing) to ``[n, width]``."""
        numbers = x[..., : self.numbers]
        encoded = self.encode(torch.where(torch.isnan(numbers), self.median, numbers))
        return torch.cat([encoded.flatten(-2), self.table(x)[..., self.numbers :]], dim=-1)

    def collect(self, shares: Tensor) -> Tensor:
        """What prepared columns ``[..., width]`` contribute, as features ``[..., d]``."""
        encoded, rest = shares.tensor_split([self.numbers * self.bins], dim=-1)
        numbers = encoded.unflatten(-1, (self.numbers, self.bins)).sum(-1)
        return self.table.collect(torch.cat([numbers, rest], dim=-1))

    def encode(self, numbers: Tensor) -> Tensor:
        """``[n, numbers]`` without missing values to ``[n, numbers, bins]``."""
        left, right = self.edges[:, :-1], self.edges[:, 1:]
        width = right - left
        along = (numbers[..., None] - left) / torch.where(width > 0, width, torch.inf)
        lowest = torch.where(left == self.edges[:, :1], -torch.inf, 0.0)
        highest = torch.where(right == self.edges[:, -1:], torch.inf, 1.0)
        return along.clamp(lowest, highest).nan_to_num(0.0)
