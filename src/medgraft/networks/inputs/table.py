"""Raw table rows to network inputs, with everything that was fitted kept in buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from medgraft.errors import StageError


class TableInput(nn.Module):
    """Standardise numbers, one-hot categories, flag what may be missing.

    Numbers become ``(x - mean) / scale`` with a missing value at the mean (0); a missing category
    is all zeros. Every feature that may be missing adds one 0/1 input. ``mean`` and ``scale`` are
    the only fitted values: NaN for a feature that was never seen, which then enters as 0.

    Args:
        features: the ``features`` of a prepared ``schema.json``, numbers before categories.
    """

    places: ClassVar[int] = 0

    mean: Tensor
    scale: Tensor

    def __init__(self, features: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        kinds = [feature["kind"] for feature in features]
        self.numbers = kinds.count("number")
        if "number" in kinds[self.numbers :]:
            raise StageError("schema.json: expected all number features before the categories")
        self.cardinalities = [len(f["categories"]) for f in features[self.numbers :]]
        self.flagged = [i for i, feature in enumerate(features) if may_be_missing(feature)]
        levels = [
            self.numbers + i for i, many in enumerate(self.cardinalities) for _ in range(many)
        ]
        self.owners = [*range(self.numbers), *levels, *self.flagged]
        self.register_buffer("mean", torch.full((self.numbers,), torch.nan))
        self.register_buffer("scale", torch.full((self.numbers,), torch.nan))
        self.width = self.numbers + sum(self.cardinalities) + len(self.flagged)

    def fit(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Mean and scale of the numbers over ``rows`` ``[n, d]``, ignoring missing values."""
        numbers = rows[:, : self.numbers].astype(np.float64)
        seen = ~np.isnan(numbers)
        count = np.where(seen.any(0), seen.sum(0), np.nan)
        mean = np.where(seen, numbers, 0).sum(0) / count
        deviation = np.sqrt((np.where(seen, numbers - mean, 0) ** 2).sum(0) / count)
        scale = np.where(deviation > 1e-12 * np.maximum(1, np.abs(mean)), deviation, 1.0)
        scale[np.isnan(deviation)] = np.nan
        return {"mean": torch.tensor(mean).float(), "scale": torch.tensor(scale).float()}

    def forward(self, x: Tensor) -> Tensor:
        """``[n, d]`` raw values (NaN = missing) to ``[n, width]``."""
        numbers = x if self.numbers == x.shape[-1] else x[..., : self.numbers]
        parts = [(numbers - self.mean).div_(self.scale).nan_to_num_(0.0)]
        for column, cardinality in enumerate(self.cardinalities, start=self.numbers):
            codes = torch.arange(cardinality, device=x.device)
            parts.append((x[..., column : column + 1] == codes).to(x.dtype))
        if self.flagged:
            parts.append(torch.isnan(x[..., self.flagged]).to(x.dtype))
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]

    def collect(self, shares: Tensor) -> Tensor:
        """What prepared columns ``[..., width]`` contribute, as features ``[..., d]``."""
        return gathered(shares, self.owners, self.numbers + len(self.cardinalities))


def gathered(shares: Tensor, owners: Sequence[int], features: int) -> Tensor:
    """Sums of ``shares [..., width]`` by the feature that owns each column, ``[..., features]``."""
    empty = shares.new_zeros(*shares.shape[:-1], features)
    return empty.index_add(-1, torch.tensor(owners, dtype=torch.long), shares)


def may_be_missing(feature: Mapping[str, Any]) -> bool:
    """True where the description says so, or one of the two cohorts does not measure it."""
    return feature["may_be_missing"] or feature["origin"] != "shared"
