"""What the specific layers read from the shared ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


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
