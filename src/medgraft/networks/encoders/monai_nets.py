"""What the networks taken from MONAI have in common."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from medgraft.errors import ConfigError


def load(name: str) -> Any:
    """The module ``monai.networks.nets.<name>``.

    Raises:
        ConfigError: MONAI is not installed.
    """
    try:
        return importlib.import_module(f"monai.networks.nets.{name}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f'this encoder needs MONAI ({error}): pip install "medgraft[images]"'
        ) from None


def group_normalised(module: nn.Module, groups: int) -> None:
    """Put group normalisation in the place of every batch normalisation within ``module``.

    A patient's answer then depends on no other patient, and replicas can be stacked.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(groups, child.num_features))
        else:
            group_normalised(child, groups)
