"""Guess hidden letters from their neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medgraft.networks.inputs.sequence import UNKNOWN
from medgraft.networks.model import seeded, shared_layers
from medgraft.training.batches import Augment
from medgraft.training.pretexts.pretext import require


class MaskedToken:
    """Masked language modelling (Devlin et al., "BERT", 2019), for networks that keep positions.

    Args:
        share: of the letters that are hidden, in runs.
        run: letters hidden side by side; the neighbours of a single one nearly tell it.
    """

    outcome: Mapping[str, Any] = {"name": "hidden letters", "task": "pretext", "classes": []}

    def __init__(self, share: float = 0.15, run: int = 3) -> None:
        if not 0 < share < 1 or run < 1:
            raise ValueError(f"expected 0 < share < 1 and run of 1 or more, got {share}, {run}")
        self.share, self.run = share, run

    def network(
        self, spec: Mapping[str, Any], schema: Mapping[str, Any], *, seed: int
    ) -> MaskedTokenNetwork:
        """Shared layers, and a decoder of their last map."""
        require("masked_token", schema, "sequence")
        with seeded(seed):
            first, encoder = shared_layers(spec, schema)
            return MaskedTokenNetwork(first, encoder, length=schema["features"][0]["length"])

    @property
    def batch(self) -> Augment:
        """Tokens ``[b, length]`` with some hidden, and the tokens as they were."""
        return self.hide

    def hide(
        self, x: np.ndarray, y: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Runs begin anywhere with the same chance; ``y`` is not used."""
        del y
        chance = 1 - (1 - self.share) ** (1 / self.run)
        begins = generator.random((len(x), x.shape[1] + self.run - 1)) < chance
        hidden = np.lib.stride_tricks.sliding_window_view(begins, self.run, axis=1).any(-1)
        return np.where(hidden, np.uint8(UNKNOWN), x), x


class MaskedTokenNetwork(nn.Module):
    """Shared layers and one linear map from a position to the letters it stands for."""

    input: Any
    encoder: Any

    def __init__(self, input: nn.Module, encoder: nn.Module, *, length: int) -> None:
        super().__init__()
        self.input, self.encoder = input, encoder
        with torch.no_grad():
            last = self.map(torch.zeros(1, length, dtype=torch.uint8))
        self.letters = self.input.width
        self.each = -(-length // last.shape[-1])
        self.decoder = nn.Conv1d(last.shape[1], self.letters * self.each, 1)

    def map(self, x: Tensor) -> Tensor:
        """The last layer's map ``[n, channels, positions]`` of the strand as it was read."""
        last = self.encoder(self.input(x))[-1]
        return last[..., : last.shape[-1] // getattr(self.encoder, "strands", 1)]

    def fit(self, x: np.ndarray, y: np.ndarray) -> dict[str, Tensor]:
        """What the input learns from training patients ``x [n, length]``."""
        del y
        return {f"input.{name}": value for name, value in self.input.fit(x).items()}

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Scores ``[n, letters, length]``; given the true tokens ``y``, losses ``[n]``.

        A loss is the mean cross-entropy over the hidden letters; 0 where none is hidden.
        """
        length = x.shape[-1]
        spread = self.decoder(self.map(x)).unflatten(1, (self.letters, self.each))
        scores = spread.transpose(-1, -2).flatten(-2)[..., :length]
        if y is None:
            return scores
        truth = self.input(y)
        hidden = truth.sum(-2) * (x != y)
        surprise = -(torch.log_softmax(scores, -2) * truth).sum(-2) * hidden
        return surprise.sum(-1) / hidden.sum(-1).clamp(min=1)
