"""Dilated residual network for sequences."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from medgraft.construct import Count, Share
from medgraft.errors import ConfigError

GROUPS = 4  # of the normalisation


class DilatedCnn(nn.Module):
    """Motif detectors, then residual blocks that see ever farther.

    The first layer is a bank of motif scanners (Alipanahi et al., "Predicting the sequence
    specificities of DNA- and RNA-binding proteins by deep learning", 2015); block i is dilated by
    ``2**i`` (Kelley et al., "Sequential regulatory activity prediction across chromosomes with
    convolutional neural networks", 2018). Layers are pooled to the mean and the maximum over
    positions: how much of a motif there is, and whether there is one. Where a window is centred on
    something (a splice site, a transcription start), ``stretches`` keep where it is.

    Args:
        inputs: channels of the prepared input.
        channels: width of every layer before pooling.
        motif: letters a motif detector sees, odd.
        shrink: neighbouring positions after the first layer that become one, by their maximum.
        blocks: residual blocks; with none, motifs are all that is seen.
        kernel: positions a block's convolution sees, odd.
        stretches: equal parts of the window that are pooled each by itself; not more than there are
            positions.
        both_strands: read the reverse complement with the same weights too, so that either strand
            of a DNA gives the same answer; needs the letters A, C, G, T (or U) in this order.
        dropout: share of a layer's channels hidden in training.
    """

    places: ClassVar[int] = 1

    def __init__(  # noqa: PLR0913 - every option is documented where it is named
        self,
        inputs: int,
        *,
        channels: Count = 64,
        motif: Count = 13,
        shrink: Count = 3,
        blocks: Annotated[int, Field(ge=0, le=100)] = 3,
        kernel: Count = 5,
        stretches: Count = 1,
        both_strands: bool = False,
        dropout: Share = 0.0,
    ) -> None:
        if motif % 2 == 0 or kernel % 2 == 0:
            raise ValueError(f"motif and kernel: expected odd numbers, got {motif} and {kernel}")
        if both_strands and inputs != 4:
            raise ValueError(f"both_strands: expected 4 letters, got {inputs}")
        if both_strands and stretches > 1:
            raise ValueError("stretches: the other strand has them in another order; expected 1")
        super().__init__()
        self.stretches = stretches
        self.strands = 2 if both_strands else 1
        residual = [Residual(channels, kernel, 2**i, dropout) for i in range(blocks)]
        self.layers = nn.ModuleList([Motifs(inputs, channels, motif, shrink), *residual])
        self.widths = [2 * channels * stretches] * len(self.layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """``[n, inputs, length]`` to every layer's map ``[n, channels, positions]``.

        The positions of the other strand follow those of the first.
        """
        strands = torch.stack([x, x.flip((-2, -1))]) if self.strands == 2 else x[None]
        h = strands.flatten(0, 1)
        outputs = []
        for layer in self.layers:
            h = layer(h)
            outputs.append(torch.cat(h.unflatten(0, strands.shape[:2]).unbind(0), dim=-1))
        return outputs

    def pool(self, h: Tensor) -> Tensor:
        """``[n, channels, positions]`` to means and maxima ``[n, 2 * channels * stretches]``.

        Raises:
            ConfigError: there are fewer positions than stretches.
        """
        if h.shape[-1] < self.stretches:
            raise ConfigError(
                f"encoder.stretches: got {self.stretches}, expected at most {h.shape[-1]}, the "
                "positions that sequences of this length leave after the first layer"
            )
        parts = h.tensor_split(self.stretches, dim=-1)
        pooled = [torch.cat([part.mean(-1), part.amax(-1)], dim=-1) for part in parts]
        return torch.cat(pooled, dim=-1)


class Motifs(nn.Module):
    """How well every motif fits at every position, the best of ``shrink`` neighbours."""

    def __init__(self, inputs: int, channels: int, motif: int, shrink: int) -> None:
        super().__init__()
        self.scan = nn.Conv1d(inputs, channels, motif, padding=motif // 2)
        self.shrink = shrink

    def forward(self, x: Tensor) -> Tensor:
        """``[n, inputs, length]`` to ``[n, channels, ceil(length / shrink)]``."""
        fit = functional.gelu(self.scan(x))
        return functional.max_pool1d(fit, self.shrink, ceil_mode=True) if self.shrink > 1 else fit


class Residual(nn.Module):
    """``x + mix(gelu(conv(gelu(norm(x)))))``; starts as the identity."""

    def __init__(self, channels: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        reach = dilation * (kernel // 2)
        self.conv = nn.Conv1d(channels, channels, kernel, padding=reach, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout1d(dropout)
        for parameter in self.mix.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """``[n, channels, positions]`` to the same."""
        h = self.conv(functional.gelu(self.norm(x)))
        return x + self.dropout(self.mix(functional.gelu(h)))
