"""Images moved, turned, mirrored and relit at random, on the device they are trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medgraft.construct import NonNegative
from medgraft.errors import ConfigError

DRAWS = 7  # numbers per image


@dataclass(frozen=True)
class RandomView:
    """The same patient, photographed again.

    What is random is drawn in `draw`, a few numbers per image, and used in `__call__`, on whatever
    device the images are: a replica draws the same alone as among others, and processes that share
    a batch draw for the whole of it.

    Args:
        shift: at most this part of the height and of the width.
        rotation: at most this many degrees, either way.
        zoom: at most this part larger or smaller.
        flip: mirror every other image left to right.
        brightness: at most this part of the full range added or taken away.
        contrast: the distance from the image's mean times at most ``1 + contrast``, or divided.
    """

    shift: NonNegative = 0.0
    rotation: NonNegative = 0.0
    zoom: NonNegative = 0.0
    flip: bool = False
    brightness: NonNegative = 0.0
    contrast: NonNegative = 0.0

    def draw(self, generator: np.random.Generator, size: int) -> np.ndarray:
        """Float32 ``[size, 7]``: shift down, shift right, angle, zoom, mirror, light, contrast."""
        u = generator.uniform(-1, 1, (size, DRAWS)).astype(np.float32)
        mirror = np.where(u[:, 4] < 0, -1, 1) if self.flip else np.ones(size)
        columns = (
            2 * self.shift * u[:, 0],
            2 * self.shift * u[:, 1],
            np.deg2rad(self.rotation) * u[:, 2],
            (1 + self.zoom) ** u[:, 3],
            mirror,
            255 * self.brightness * u[:, 5],
            (1 + self.contrast) ** u[:, 6],
        )
        return np.stack(columns, axis=1).astype(np.float32)

    def __call__(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Images ``[..., c, h, w]`` and ``drawn [..., 7]`` to float32 images 0 to 255.

        Raises:
            ConfigError: patients ``[b, ...]`` are no images.
        """
        if x.ndim - drawn.ndim < 2:
            raise ConfigError("augment: views are of images, and patients are none: expected null")
        images = x.reshape(-1, *x.shape[-3:]).float()
        drawn = drawn.reshape(-1, DRAWS)
        grid = functional.affine_grid(matrices(drawn), list(images.shape), align_corners=False)
        moved = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
        return relit(moved, drawn).reshape(x.shape)


def matrices(drawn: Tensor) -> Tensor:
    """Where each pixel is looked up, as ``[n, 2, 3]`` in coordinates from -1 to 1."""
    down, right, angle, zoom, mirror = drawn[:, :5].unbind(1)
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    rows = ((mirror * cos, -mirror * sin, -right), (sin, cos, -down))
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def relit(images: Tensor, drawn: Tensor) -> Tensor:
    """Images ``[n, c, h, w]`` with light added and contrast changed about each one's mean."""
    light, contrast = (drawn[:, i, None, None, None] for i in (5, 6))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + contrast * (images - mean) + light).clamp(0, 255)
