"""What a strategy adds to the loss of a batch, besides the error.

A penalty is constructed with the ``network`` it will guard. ``fit`` gives the buffers that depend
on a replica's training patients, from the network training starts from; ``forward`` gives one
number for what was ``Seen`` of a batch. The validation loss, which decides when to stop, is without
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medgraft.construct import Count, NonNegative
from medgraft.transfer.precision import full
from medgraft.transfer.seen import Seen
from medgraft.transfer.trainable import SPECIFIC

# Patients a channel's importance is judged on; with more it hardly changes, and every channel
# costs a pass.
JUDGED = 128


class Penalty(nn.Module):
    """Nothing to fit, nothing to add: what the penalties below have in common.

    One that ``needs_source`` is fitted with the source network and validation patients as well.
    ``trained``: which of its fitted values are trained with the network.
    """

    needs_source = False
    trained: tuple[str, ...] = ()

    def fit(self, network: Any, x: np.ndarray, y: np.ndarray) -> dict[str, Tensor]:
        """Nothing to fit."""
        del network, x, y
        return {}


class L2Sp(Penalty):
    """``alpha/2 |w - w0|^2`` over the shared layers, ``beta/2 |w|^2`` over the specific ones.

    Li, Grandvalet and Davoine, "Explicit inductive bias for transfer learning with convolutional
    networks" (ICML 2018), equation 3.
    """

    def __init__(
        self, network: nn.Module, alpha: NonNegative = 0.01, beta: NonNegative = 0.01
    ) -> None:
        super().__init__()
        del network
        self.alpha, self.beta = alpha, beta

    def forward(self, seen: Seen) -> Tensor:
        """The penalty ``[]``."""
        start = dict(seen.start.named_parameters())
        moved = [
            (value - start[name]).square().sum()
            for name, value in seen.network.named_parameters()
            if not name.startswith(SPECIFIC)
        ]
        return self.alpha / 2 * torch.stack(moved).sum() + self.beta / 2 * size(seen.network)


class Delta(Penalty):
    """How far the feature maps move from those of the start, channel by channel.

    Li et al., "DELTA: deep learning transfer using feature map with attention for convolutional
    networks" (ICLR 2019): ``alpha/2`` times, summed over layers and patients, the squared distance
    of every channel times its attention; ``beta/2 |w|^2`` over the specific layers. As in the
    authors' code, a layer counts with its number of channels over its number of positions. The
    attention of a channel is the softmax, over its layer, of how much worse the network gets
    without it, so the specific layers should be trained before (``probe_then_everything``).
    """

    def __init__(
        self, network: nn.Module, alpha: NonNegative = 0.01, beta: NonNegative = 0.01
    ) -> None:
        super().__init__()
        del network
        self.alpha, self.beta = alpha, beta

    def fit(self, network: Any, x: np.ndarray, y: np.ndarray) -> dict[str, Tensor]:
        """The attention of every layer's channels ``[channels]``."""
        patients = torch.from_numpy(x[:JUDGED]), torch.from_numpy(y[:JUDGED])
        return {
            f"attention_{i}": torch.softmax(losses_without(network, i, *patients), dim=0)
            for i in range(len(network.encoder.layers))
        }

    def forward(self, seen: Seen) -> Tensor:
        """The penalty ``[]``."""
        distances = [
            map_distance(now, before.detach(), getattr(self, f"attention_{i}"))
            for i, (now, before) in enumerate(zip(seen.maps, seen.start_maps, strict=True))
        ]
        return self.alpha / 2 * torch.stack(distances).sum() + self.beta / 2 * size(seen.network)


class BatchSpectralShrinkage(Penalty):
    """``eta`` times the squares of the ``k`` smallest singular values of a batch's features.

    Chen et al., "Catastrophic forgetting meets negative transfer: batch spectral shrinkage for safe
    transfer learning" (NeurIPS 2019), equation 6.
    """

    def __init__(self, network: nn.Module, eta: NonNegative = 0.001, k: Count = 1) -> None:
        super().__init__()
        del network
        self.eta, self.k = eta, k

    def forward(self, seen: Seen) -> Tensor:
        """The penalty ``[]``."""
        return self.eta * smallest_energy(seen.features, k=self.k)


def smallest_energy(features: Tensor, *, k: int) -> Tensor:
    """Sum of the squares of the ``k`` smallest singular values of ``[n, width]``."""
    return torch.linalg.svdvals(full(features))[-k:].square().sum()


def map_distance(now: Tensor, before: Tensor, attention: Tensor) -> Tensor:
    """Squared distance of feature maps ``[n, channels, *positions]``, attention ``[channels]``.

    Summed over patients, averaged over positions; were all channels equally important, their
    attention would count as 1 each.
    """
    squares = (now - before).square().reshape(*now.shape[:2], -1).mean(dim=2)
    return len(attention) * (attention * squares).sum()


def size(network: nn.Module) -> Tensor:
    """``|w|^2`` of the specific layers."""
    named = network.named_parameters()
    return torch.stack([w.square().sum() for name, w in named if name.startswith(SPECIFIC)]).sum()


@torch.no_grad()
def losses_without(network: Any, layer: int, x: Tensor, y: Tensor) -> Tensor:
    """The mean loss with one channel of a layer silenced, for each of its channels ``[channels]``.

    Args:
        network: whose ``encoder.layers[layer]`` is judged.
        layer: which one.
        x: raw patients ``[n, ...]``.
        y: their outcomes ``[n, ...]``.
    """
    shape = network.maps(x)[layer].shape
    losses = []
    for channel in range(shape[1]):
        with silenced(network.encoder.layers[layer], channel, shape):
            losses.append(network(x, y).mean())
    return torch.stack(losses)


@contextmanager
def silenced(layer: nn.Module, channel: int, shape: torch.Size) -> Iterator[None]:
    """Set one channel of a layer's output to 0.

    The feature map has this ``shape``; where the layer answers in another, as with tokens, its
    channels come last, unless it sees each patient several times, as with both strands of a DNA. A
    layer of a published model may answer with a tuple, its output first, or with a list of maps,
    the last of them its own; or be several parts with names, of which the last answers.
    """
    while isinstance(layer, nn.ModuleDict):
        layer = list(layer.values())[-1]

    def without(module: nn.Module, given: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (without(module, given, output[0]), *output[1:])
        if isinstance(output, list):
            return [*output[:-1], without(module, given, output[-1])]
        alike = output.shape == shape or len(output) != shape[0]
        axis = 1 if alike else output.dim() - 1
        return output.index_fill(axis, torch.tensor([channel]), 0.0)

    hook = layer.register_forward_hook(without)
    try:
        yield
    finally:
        hook.remove()
