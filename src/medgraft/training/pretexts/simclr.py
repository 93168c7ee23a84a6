"""Pretraining without outcomes: recognise an image among others, whatever its light and place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medgraft.construct import Count, Positive, construct
from medgraft.networks.model import seeded, shared_layers
from medgraft.training.pretexts.pretext import require


class SimClr:
    """Two random views of each image must lie closer than those of others (Chen et al. 2020).

    The loss of an image depends on the others of its batch, so a validation loss is comparable
    between checks and not between batch sizes.

    Args:
        view: constructor of what makes a view, such as `augments.image.RandomView`.
        temperature: of the similarities.
        width: of the space in which views are compared.
    """

    def __init__(
        self, view: Mapping[str, Any], *, temperature: Positive = 0.2, width: Count = 64
    ) -> None:
        self.view = construct(view)
        self.temperature, self.width = temperature, width
        self.outcome = {"name": "two views", "task": "pretext", "classes": []}

    def network(
        self, spec: Mapping[str, Any], schema: Mapping[str, Any], *, seed: int
    ) -> SimClrNetwork:
        """A freshly initialised input and encoder, with a small projection to compare in."""
        require("simclr", schema, "image")
        with seeded(seed):
            first, encoder = shared_layers(spec, schema)
            return SimClrNetwork(first, encoder, width=self.width, temperature=self.temperature)

    def batch(
        self, x: np.ndarray, y: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Two views of images ``[b, c, h, w]``, uint8 ``[b, 2 c, h, w]``, and zeros ``[b]``."""
        del y
        views = []
        for _ in range(2):
            drawn = torch.from_numpy(self.view.draw(generator, len(x)))
            views.append(self.view(torch.from_numpy(x), drawn).round().to(torch.uint8).numpy())
        return np.concatenate(views, axis=1), np.zeros(len(x), dtype=np.float32)


class SimClrNetwork(nn.Module):
    """The shared layers, and a projection that is thrown away after pretraining."""

    # Any, not nn.Module: each part has methods of its own (fit, pool) beside forward.
    input: Any
    encoder: Any

    def __init__(
        self, first: nn.Module, encoder: nn.Module, *, width: int, temperature: float
    ) -> None:
        super().__init__()
        self.input = first
        self.encoder = encoder
        last: int = self.encoder.widths[-1]
        self.projection = nn.Sequential(nn.Linear(last, last), nn.ReLU(), nn.Linear(last, width))
        self.temperature = temperature

    def fit(self, x: np.ndarray, y: np.ndarray) -> dict[str, Tensor]:
        """The buffers of the input, from training images ``x [n, c, h, w]``."""
        del y
        return {f"input.{name}": value for name, value in self.input.fit(x).items()}

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Projections ``[n, width]`` of single images; given ``y [n]``, losses of pairs ``[n]``.

        A pair with NaN in ``y`` is padding: nobody is compared with it.
        """
        if y is None:
            return self.project(x)
        one, other = (self.project(view) for view in x.chunk(2, dim=1))
        return contrast(one, other, torch.isnan(y), temperature=self.temperature)

    def project(self, x: Tensor) -> Tensor:
        """Images ``[n, c, h, w]`` to directions ``[n, width]`` of length 1."""
        features = self.encoder.pool(self.encoder(self.input(x))[-1])
        return nn.functional.normalize(self.projection(features), dim=-1)


def contrast(one: Tensor, other: Tensor, padding: Tensor, *, temperature: float) -> Tensor:
    """NT-Xent (Chen et al. 2020, equation 1) of pairs of directions ``[n, d]``: losses ``[n]``.

    Each view has to be told apart from all others; a pair's loss is the mean over its two views.
    """
    views, absent = torch.cat([one, other]), torch.cat([padding, padding])
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    scores = (views @ views.T / temperature).masked_fill(itself | absent, -torch.inf)
    own = (one * other).sum(dim=1) / temperature
    # A padded pair has its own partner masked; its loss is finite and counts for nothing.
    losses = scores.logsumexp(dim=1).nan_to_num(neginf=0.0) - torch.cat([own, own])
    return losses.view(2, -1).mean(dim=0)
