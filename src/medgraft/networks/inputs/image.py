"""Images as stored, uint8, to network inputs: each channel centred and scaled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = 256  # of a uint8
# Images counted together: a memory map is never in memory as a whole.
CHUNK = 1024


class ImageInput(nn.Module):
    """``(x - mean) / scale`` per channel, both fitted on the replica's training images.

    Args:
        features: the ``features`` of a prepared ``schema.json``: the one image, with ``channels``.
    """

    places: ClassVar[int] = 2

    mean: Tensor
    scale: Tensor

    def __init__(self, features: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        (image,) = features
        self.width = int(image["channels"])
        self.register_buffer("mean", torch.full((self.width,), torch.nan))
        self.register_buffer("scale", torch.full((self.width,), torch.nan))

    def fit(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Mean and scale of each channel over ``rows`` uint8 ``[n, c, h, w]``; exact sums."""
        counts = sum(histograms(rows[at : at + CHUNK]) for at in range(0, len(rows), CHUNK))
        levels = np.arange(LEVELS)
        share = counts / np.sum(counts, axis=1, keepdims=True)
        mean = share @ levels
        scale = np.sqrt((share * (levels - mean[:, None]) ** 2).sum(1))
        scale[scale == 0] = 1.0
        return {"mean": torch.tensor(mean).float(), "scale": torch.tensor(scale).float()}

    def forward(self, x: Tensor) -> Tensor:
        """``[n, c, h, w]`` levels 0 to 255, of any number type, to ``[n, c, h, w]``."""
        return (x - self.mean[:, None, None]) / self.scale[:, None, None]

    def collect(self, shares: Tensor) -> Tensor:
        """What channels ``[..., c, h, w]`` contribute, as pixels ``[..., h, w]``."""
        return shares.sum(-3)


def histograms(images: np.ndarray) -> np.ndarray:
    """How often each channel of uint8 ``[n, c, h, w]`` has each level: int64 ``[c, 256]``."""
    channels = images.swapaxes(0, 1)
    return np.stack([np.bincount(one.ravel(), minlength=LEVELS) for one in channels])
