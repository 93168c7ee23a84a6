"""Transformer for tables."""

from __future__ import annotations

from typing import ClassVar

import rtdl_revisiting_models as rtdl
import torch
from torch import Tensor, nn

from medgraft.construct import Count, Positive, Share


class FtTransformer(nn.Module):
    """FT-Transformer of Gorishniy et al., "Revisiting deep learning models for tabular data", 2021.

    The authors' own blocks. Every prepared input is a token: a number, one level of a category, a
    flag of a missing value. ``layers[0]`` embeds them, the others are the blocks; the final
    normalisation belongs to the last. Dropout stays 0 by default because a replica with dropout
    draws other masks alone than among others.

    Args:
        inputs: width of the prepared input.
        blocks: how many.
        width: of a token; a multiple of ``heads``.
        heads: of the attention.
        hidden_multiplier: width of a block's hidden layer over ``width``.
        dropout: of attention and hidden layers.
    """

    places: ClassVar[int] = 0

    def __init__(
        self,
        inputs: int,
        blocks: Count = 2,
        width: Count = 32,
        heads: Count = 4,
        hidden_multiplier: Positive = 4 / 3,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        backbone = rtdl.FTTransformerBackbone(
            d_out=1,
            n_blocks=blocks,
            d_block=width,
            attention_n_heads=heads,
            attention_dropout=dropout,
            ffn_d_hidden_multiplier=hidden_multiplier,
            ffn_dropout=dropout,
            residual_dropout=0.0,
        )
        final = nn.Sequential(backbone.output.normalization, backbone.output.activation)
        self.layers = nn.ModuleList([Tokens(inputs, width)])
        self.layers += [Block(block) for block in backbone.blocks[:-1]]
        self.layers.append(Block(backbone.blocks[-1], final))
        self.widths = [width] * len(self.layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """``[n, inputs]`` to one vector per layer, ``[n, width]`` each.

        After a block it is the first token, which gathers the others; before any block that token
        knows nothing, and the mean of all tokens stands for the first layer.
        """
        embed, *blocks = self.layers
        tokens = embed(x)
        outputs = [tokens.mean(dim=1)]
        for block in blocks:
            tokens = block(tokens)
            outputs.append(tokens[:, 0])
        return outputs


class Tokens(nn.Module):
    """A token for every input, and a first one that is the same for everybody."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.inputs = rtdl.LinearEmbeddings(inputs, width)
        self.first = nn.Parameter(nn.init.uniform_(torch.empty(1, width), -1, 1) * width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """``[n, inputs]`` to ``[n, 1 + inputs, width]``."""
        return torch.cat([self.first.expand(len(x), -1, -1), self.inputs(x)], dim=1)


class Block(nn.Module):
    """One of the authors' blocks; with ``final``, the last: only its first token is needed."""

    def __init__(self, parts: nn.ModuleDict, final: nn.Module | None = None) -> None:
        super().__init__()
        self.parts = parts
        self.final = final

    def forward(self, tokens: Tensor) -> Tensor:
        """``[n, T, width]`` to the same shape, or to ``[n, 1, width]``."""
        parts = self.parts
        first = "attention_normalization" not in parts  # the first block goes without
        seen = tokens if first else parts["attention_normalization"](tokens)
        asks = seen if self.final is None else seen[:, :1]
        tokens = tokens[:, : asks.shape[1]] + parts["attention"](asks, seen)
        tokens = tokens + parts["ffn"](parts["ffn_normalization"](tokens))
        return tokens if self.final is None else self.final(tokens)
