"""Small transformer for sequences."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from medgraft.construct import Count


class SequenceTransformer(nn.Module):
    """Words of neighbouring letters, then attention among all of them.

    Layer normalisation comes before each part (Xiong et al., "On layer normalization in the
    transformer architecture", 2020); places are told by sines (Vaswani et al., "Attention is all
    you need", 2017). Layers are pooled to mean and maximum over positions.

    Args:
        inputs: channels of the prepared input.
        channels: width of every layer before pooling, a multiple of ``heads``.
        word: letters that become one position.
        blocks: attention blocks.
        heads: of each block.
    """

    places: ClassVar[int] = 1

    def __init__(
        self,
        inputs: int,
        *,
        channels: Count = 64,
        word: Count = 4,
        blocks: Count = 2,
        heads: Count = 4,
    ) -> None:
        if channels % (2 * heads):
            raise ValueError(f"channels: expected a multiple of {2 * heads}, got {channels}")
        super().__init__()
        attention = [Attention(channels, heads) for _ in range(blocks)]
        self.layers = nn.ModuleList([Words(inputs, channels, word), *attention])
        self.widths = [2 * channels] * len(self.layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """``[n, inputs, length]`` to every layer's map ``[n, channels, positions]``."""
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs

    def pool(self, h: Tensor) -> Tensor:
        """``[n, channels, positions]`` to mean and maximum ``[n, 2 * channels]``."""
        return torch.cat([h.mean(-1), h.amax(-1)], dim=-1)


class Words(nn.Module):
    """Each ``word`` letters to one position that knows its place."""

    def __init__(self, inputs: int, channels: int, word: int) -> None:
        super().__init__()
        self.word = word
        self.read = nn.Conv1d(inputs, channels, word, stride=word)

    def forward(self, x: Tensor) -> Tensor:
        """``[n, inputs, length]`` to ``[n, channels, ceil(length / word)]``."""
        whole = functional.pad(x, (0, -x.shape[-1] % self.word))
        h = self.read(whole)
        return h + places(h.shape[-1], h.shape[-2], h)


class Attention(nn.Module):
    """Multi-head self-attention, then a layer of its own for each position."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.ask = nn.Linear(channels, 3 * channels)
        self.answer = nn.Linear(channels, channels)
        self.think = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[n, channels, positions]`` to the same."""
        h = x.transpose(-1, -2)
        h = h + self.attend(self.before(h))
        h = h + self.think(self.between(h))
        return h.transpose(-1, -2)

    def attend(self, h: Tensor) -> Tensor:
        """``[n, positions, channels]`` to the same."""
        parts = self.ask(h).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        fit = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        seen = torch.softmax(fit, -1) @ value
        return self.answer(seen.transpose(1, 2).flatten(-2))


def places(positions: int, channels: int, like: Tensor) -> Tensor:
    """Sines and cosines ``[channels, positions]`` of wavelengths from 2 pi to 10,000 times that."""
    rate = torch.exp(torch.arange(0, channels, 2, device=like.device) * (-9.21034 / channels))
    angle = rate[:, None] * torch.arange(positions, device=like.device)
    return torch.cat([angle.sin(), angle.cos()]).to(like.dtype)
