"""Any convolutional network of timm, for users who have it and torchvision."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor, nn

from medgraft.errors import ConfigError


class TimmFeatures(nn.Module):
    """A timm network up to its last map (``features_only``), all of it one layer.

    Networks with batch normalisation cannot be stacked: choose one with group or layer
    normalisation, such as ``resnet50_gn`` or ``convnext_tiny``, or ``trainer.replicas_at_once=1``.
    Weights start at random; timm's own are not downloaded.

    Args:
        inputs: channels of the prepared image.
        name: as in ``timm.list_models()``.
    """

    places = 2

    def __init__(self, inputs: int, name: str) -> None:
        super().__init__()
        net = load().create_model(name, pretrained=False, features_only=True, in_chans=inputs)
        self.layers = nn.ModuleList([net])
        self.widths = [net.feature_info.channels()[-1]]

    def forward(self, x: Tensor) -> list[Tensor]:
        """``[n, inputs, h, w]`` to the last stage's map ``[n, width, h', w']``."""
        return [self.layers[0](x)[-1]]

    def pool(self, maps: Tensor) -> Tensor:
        """Mean over positions: ``[n, width, h, w]`` to ``[n, width]``."""
        return torch.mean(maps, dim=(-2, -1))


def load() -> Any:
    """The timm library.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f'this encoder needs timm and torchvision ({error}): pip install "medgraft[timm]"'
        ) from None
