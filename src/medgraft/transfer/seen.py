"""What a network makes of a batch, computed when asked for and once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from torch import Tensor


class Seen:
    """One batch on its way through a network.

    Args:
        network: a ``medgraft.networks.model.Network`` with the values of this step.
        x: raw patients ``[n, ...]``.
        y: their outcomes ``[n, ...]``.
        start: the network training started from; it does not change.
    """

    def __init__(self, network: Any, x: Tensor, y: Tensor, *, start: Any = None) -> None:
        self.network, self.start = network, start
        self.x, self.y = x, y

    @cached_property
    def maps(self) -> list[Tensor]:
        """Feature maps of the shared layers ``[n, channels, *positions]``."""
        return self.network.maps(self.x)

    @cached_property
    def start_maps(self) -> list[Tensor]:
        """Those of the start."""
        return self.start.maps(self.x)

    @cached_property
    def features(self) -> Tensor:
        """What the head reads ``[n, width]``."""
        return self.network.readout(self.network.pooled(self.maps))

    @cached_property
    def losses(self) -> Tensor:
        """The error on each patient ``[n]``."""
        return self.network.head.loss(self.network.head(self.features), self.y)
