"""Pretraining without outcomes: fill in what is hidden of an image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medgraft.networks.model import seeded, shared_layers
from medgraft.training.pretexts.pretext import require


class MaskedImage:
    """Hide patches, predict their pixels; SimMIM (Xie et al. 2022) with a convolutional encoder.

    A hidden patch takes the image's mean level, so that no new edge to black appears.

    Args:
        patch: side of the square patches, in pixels.
        share: of the patches that are hidden.
    """

    def __init__(self, patch: int = 4, share: float = 0.5) -> None:
        if not 0 < share < 1 or patch < 1:
            raise ValueError("expected patch of 1 or more and share between 0 and 1")
        self.patch, self.share = patch, share
        self.outcome = {"name": "hidden patches", "task": "pretext", "classes": []}

    def network(
        self, spec: Mapping[str, Any], schema: Mapping[str, Any], *, seed: int
    ) -> MaskedImageNetwork:
        """A freshly initialised input and encoder, with one linear layer back to pixels."""
        require("masked_image", schema, "image")
        with seeded(seed):
            first, encoder = shared_layers(spec, schema)
            return MaskedImageNetwork(first, encoder, schema["features"][0])

    def batch(
        self, x: np.ndarray, y: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Images uint8 ``[b, c, h, w]`` with patches hidden, and what to predict.

        The latter is float32 ``[b, c + 1, h, w]``: the images, then where they were hidden (1).
        """
        del y
        hidden = self.hidden(generator, len(x), *x.shape[2:])[:, None]
        mean = x.mean(axis=(2, 3), keepdims=True).astype(np.uint8)
        wanted = np.concatenate([x, hidden], axis=1).astype(np.float32)
        return np.where(hidden, mean, x), wanted

    def hidden(
        self, generator: np.random.Generator, images: int, height: int, width: int
    ) -> np.ndarray:
        """Which pixels are hidden, bool ``[b, h, w]``: as many patches of every image."""
        rows, columns = math.ceil(height / self.patch), math.ceil(width / self.patch)
        rank = generator.random((images, rows * columns)).argsort(axis=1).argsort(axis=1)
        patches = (rank < round(self.share * rows * columns)).reshape(images, rows, columns)
        pixels = patches.repeat(self.patch, axis=1).repeat(self.patch, axis=2)
        return pixels[:, :height, :width]


class MaskedImageNetwork(nn.Module):
    """The shared layers, and one linear layer from each position of the last map to its pixels."""

    # Any, not nn.Module: each part has methods of its own (fit, pool) beside forward.
    input: Any
    encoder: Any

    def __init__(self, first: nn.Module, encoder: nn.Module, image: Mapping[str, Any]) -> None:
        super().__init__()
        self.input = first
        self.encoder = encoder
        shape = (image["channels"], image["height"], image["width"])
        with torch.no_grad():
            last = encoder(torch.zeros(1, *shape))[-1]
        self.factor = max(math.ceil(shape[i + 1] / last.shape[i + 2]) for i in range(2))
        self.decoder = nn.Conv2d(last.shape[1], shape[0] * self.factor**2, 1)

    def fit(self, x: np.ndarray, y: np.ndarray) -> dict[str, Tensor]:
        """The buffers of the input, from training images ``x [n, c, h, w]``."""
        del y
        return {f"input.{name}": value for name, value in self.input.fit(x).items()}

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Pixels ``[n, c, h, w]`` in standardised levels; given ``y``, losses ``[n]``.

        The loss is the mean absolute error over the pixels that were hidden.
        """
        maps = self.encoder(self.input(x))[-1]
        pixels = nn.functional.pixel_shuffle(self.decoder(maps), self.factor)
        pixels = pixels[..., : x.shape[-2], : x.shape[-1]]
        if y is None:
            return pixels
        hidden = y[:, -1:]
        error = (pixels - self.input(y[:, :-1])).abs() * hidden
        return error.sum(dim=(1, 2, 3)) / (hidden.sum(dim=(1, 2, 3)) * x.shape[1]).clamp(min=1)
