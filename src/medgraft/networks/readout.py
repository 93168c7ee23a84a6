"""What the specific layers read from the shared ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medgraft.construct import NonNegative, Share
from medgraft.errors import ConfigError
from medgraft.networks.relevance import relevance


class LastLayer(nn.Module):
    """The last layer's output, as in every ordinary network."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.width = widths[-1]

    def forward(self, outputs: list[Tensor]) -> Tensor:
        """List of ``[n, widths[i]]`` to ``[n, widths[-1]]``."""
        return outputs[-1]


class LayerMix(nn.Module):
    """A learned weighted sum of all layers, ``gamma * sum_i softmax(s)_i h_i``.

    Peters et al., "Deep contextualized word representations" (NAACL 2018), equation 1. A layer of
    another width than the last is projected to it first.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.width = widths[-1]
        self.scores = nn.Parameter(torch.zeros(len(widths)))
        self.gamma = nn.Parameter(torch.ones(()))
        self.projections = nn.ModuleList(
            nn.Identity() if width == self.width else nn.Linear(width, self.width, bias=False)
            for width in widths
        )

    def forward(self, outputs: list[Tensor]) -> Tensor:
        """List of ``[n, widths[i]]`` to ``[n, widths[-1]]``."""
        shares = torch.softmax(self.scores, dim=0)
        mixed = [
            share * project(output)
            for share, project, output in zip(shares, self.projections, outputs, strict=True)
        ]
        return self.gamma * torch.stack(mixed).sum(0)


class SelectedLayers(nn.Module):
    """The features of all layers that a linear head relies on most, standardised.

    Evci et al., "Head2Toe: utilizing intermediate representations for better transfer learning"
    (ICML 2022): features of every layer are candidates, and a group lasso says which are kept.
    Features are made comparable by their mean and spread over the training patients rather than by
    the norm of their layer.

    Args:
        widths: of the layers.
        fraction: of all features, how many are kept; 1: a linear head on all of them.
        strength: of the group lasso, see `medgraft.networks.relevance`.
    """

    kept: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(
        self, widths: Sequence[int], fraction: Share = 0.25, strength: NonNegative = 0.1
    ) -> None:
        super().__init__()
        for name, value in (("fraction", fraction), ("strength", strength)):
            if not 0 < value <= 1:
                raise ConfigError(f"{name} {value!r}: expected more than 0 and at most 1")
        self.width = math.ceil(fraction * sum(widths))
        self.strength = strength
        self.register_buffer("kept", torch.arange(self.width))
        self.register_buffer("centre", torch.zeros(self.width))
        self.register_buffer("spread", torch.ones(self.width))

    def fit(self, outputs: list[Tensor], y: Tensor, head: nn.Module) -> dict[str, Tensor]:
        """Which features are kept ``[width]``, in their order, with their means and spreads.

        Args:
            outputs: of all layers for training patients, list of ``[n, widths[i]]``.
            y: their outcomes ``[n, ...]``.
            head: what will read the features; its loss decides.
        """
        features = torch.cat(outputs, dim=-1)
        centre, spread = features.mean(0), features.std(0, correction=0)
        spread = torch.where(spread > 1e-6 * centre.abs().clamp(min=1), spread, 1.0)
        scores = relevance((features - centre) / spread, y, head, strength=self.strength)
        best = scores.argsort(descending=True, stable=True)[: self.width]
        kept = best.sort().values
        return {"kept": kept, "centre": centre[kept], "spread": spread[kept]}

    def forward(self, outputs: list[Tensor]) -> Tensor:
        """List of ``[n, widths[i]]`` to ``[n, width]``."""
        features = torch.cat(outputs, dim=-1).index_select(-1, self.kept)
        return (features - self.centre) / self.spread
