"""Expression of thousands of genes to network inputs, comparable between cohorts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from medgraft.errors import ConfigError
from medgraft.networks.batch_effects import CORRECTIONS
from medgraft.networks.quantiles import curve, normalised

CHUNK = 1024  # patients in memory at double precision


class ExpressionInput(nn.Module):
    """One input per gene: corrected for the cohort, 0 where missing or not selected.

    Buffers named ``own_`` are of the cohort the network works on and never come from the source, so
    two platforms meet although they measure in different units. ``mean``, ``scale`` and
    ``selected`` are handed on to the target: the source's genes stay the network's genes. NaN is a
    gene that was never seen.

    Args:
        features: the ``features`` of a prepared ``schema.json``, one number per gene.
        genes: how many genes to keep, those that vary most among the training patients; None: all.
        quantile: whether every sample first takes the distribution of a reference sample.
        correction: ``own`` or ``combat``, see `medgraft.networks.batch_effects`.
    """

    places: ClassVar[int] = 0

    own_mean: Tensor
    own_scale: Tensor
    own_count: Tensor
    own_reference: Tensor
    mean: Tensor
    scale: Tensor
    selected: Tensor

    def __init__(
        self,
        features: Sequence[Mapping[str, Any]],
        genes: int | None = None,
        quantile: bool = False,
        correction: str = "own",
    ) -> None:
        super().__init__()
        if correction not in CORRECTIONS:
            raise ConfigError(
                f"correction {correction!r}: expected one of {', '.join(CORRECTIONS)}"
            )
        if genes is not None and genes < 1:
            raise ConfigError(f"genes {genes!r}: expected a number of genes, or null for all")
        self.width = len(features)
        self.genes = genes
        self.quantile = quantile
        self.correction = CORRECTIONS[correction]
        for name in ("own_mean", "own_scale", "own_count", "mean", "scale", "selected"):
            self.register_buffer(name, torch.full((self.width,), torch.nan))
        self.register_buffer("own_reference", torch.zeros(self.width if quantile else 0))

    def fit(self, rows: np.ndarray) -> dict[str, Tensor]:
        """All buffers, from training patients ``rows [n, genes]`` (NaN = missing)."""
        reference = self._reference(rows) if self.quantile else torch.zeros(0)
        count, mean, scale = moments(rows, reference)
        return {
            "own_mean": mean,
            "own_scale": scale,
            "own_count": count,
            "own_reference": reference,
            "mean": mean,
            "scale": scale,
            "selected": most_variable(scale, self.genes or self.width),
        }

    def forward(self, x: Tensor) -> Tensor:
        """``[n, genes]`` to ``[n, width]``."""
        x = normalised(x, self.own_reference) if self.quantile else x
        centre, spread = self.correction(
            self.own_mean, self.own_scale, self.own_count, self.mean, self.scale
        )
        corrected = ((x - centre) / spread).nan_to_num(0.0, 0.0, 0.0)
        return corrected * self.selected.nan_to_num(0.0)

    def collect(self, shares: Tensor) -> Tensor:
        """What genes contribute: every prepared column is one."""
        return shares

    def _reference(self, rows: np.ndarray) -> Tensor:
        """The mean of the patients' quantile curves ``[genes]``."""
        each = [curve(part) for part in chunks(rows)]
        seen = sum((~torch.isnan(part)).sum(0) for part in each)
        total = sum(part.nan_to_num(0.0).sum(0) for part in each)
        return torch.as_tensor(total / seen).float()


def moments(rows: np.ndarray, reference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How many patients have a gene, their mean, their population standard deviation: ``[G]``.

    A gene with the same value in every patient has scale 1. ``reference`` is empty where samples
    are not to be normalised.
    """

    def values() -> Iterator[Tensor]:
        reads = chunks(rows)
        return (normalised(part, reference.double()) for part in reads) if len(reference) else reads

    count = sum((~torch.isnan(part)).sum(0) for part in values()) + torch.zeros(rows.shape[1])
    known = torch.where(count > 0, count, torch.nan).double()
    mean = sum(part.nan_to_num(0.0).sum(0) for part in values()) / known
    squares = sum((part - mean).nan_to_num(0.0).square().sum(0) for part in values())
    scale = torch.as_tensor(squares / known).sqrt()
    scale = torch.where(
        scale > 1e-12 * mean.abs().clamp_min(1), scale, torch.where(count > 0, 1.0, torch.nan)
    )
    return count.float(), mean.float(), scale.float()


def chunks(rows: np.ndarray) -> Iterator[Tensor]:
    """Some patients at a time, at double precision."""
    for start in range(0, len(rows), CHUNK):
        yield torch.from_numpy(np.asarray(rows[start : start + CHUNK], dtype=np.float64))


def most_variable(scale: Tensor, genes: int) -> Tensor:
    """1 for the ``genes`` entries of ``scale [G]`` that are largest, else 0; NaN where unseen."""
    order = scale.nan_to_num(-1.0).argsort(descending=True, stable=True)
    selected = torch.zeros_like(scale)
    selected[order[:genes]] = 1.0
    return torch.where(torch.isnan(scale), torch.nan, selected)
