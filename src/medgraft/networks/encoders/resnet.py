"""Residual network for tables."""

from __future__ import annotations

from typing import ClassVar

import rtdl_revisiting_models as rtdl
from torch import Tensor, nn

from medgraft.construct import Count, Positive, Share


class TabularResNet(nn.Module):
    """ResNet of Gorishniy et al., "Revisiting deep learning models for tabular data", 2021.

    The authors' own blocks; the final normalisation belongs to the last layer. Dropout stays 0 by
    default because a replica with dropout draws other masks alone than among others.
    """

    places: ClassVar[int] = 0

    def __init__(
        self,
        inputs: int,
        blocks: Count = 2,
        width: Count = 64,
        hidden_multiplier: Positive = 2.0,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        net = rtdl.ResNet(
            d_in=inputs,
            d_out=1,
            n_blocks=blocks,
            d_block=width,
            d_hidden=None,
            d_hidden_multiplier=hidden_multiplier,
            dropout1=dropout,
            dropout2=0.0,
        )
        final = nn.Sequential(net.output.normalization, net.output.activation)
        residual = [Residual(block) for block in net.blocks]
        last = nn.Sequential(residual[-1], final)
        self.layers = nn.ModuleList([net.input_projection, *residual[:-1], last])
        self.widths = [width] * len(self.layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """``[n, inputs]`` to the outputs of all layers, ``[n, width]`` each."""
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs


class Residual(nn.Module):
    """``x + block(x)``."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """``[n, width]`` to ``[n, width]``."""
        return x + self.block(x)
