"""Parameters added to a network for training, and merged into its own afterwards."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from medgraft.construct import Count, NonNegative
from medgraft.errors import ConfigError

State = dict[str, Tensor]
ADAPTED = (nn.Linear, nn.Conv1d, nn.Conv2d)
INSIDE = ".parametrizations.weight."


class Unchanged:
    """The network's own parameters."""

    def adapt(self, network: Any, state: State, seeds: Sequence[int]) -> tuple[Any, State]:
        """The network and its values as they are."""
        del seeds
        return network, state

    def merge(self, state: State) -> State:
        """The values as they are."""
        return state


class LowRank:
    """LoRA: an adapted weight is ``w + alpha/rank * up @ down``, and ``up`` starts at 0.

    Hu et al., "LoRA: low-rank adaptation of large language models" (ICLR 2022). Adapted are the
    encoder's linear layers and convolutions over one or two axes; of a convolution all but the
    output channels are one axis.

    Args:
        rank: of the change.
        alpha: how strongly it counts, relative to ``rank``.
    """

    def __init__(self, rank: Count = 8, alpha: NonNegative = 8.0) -> None:
        self.rank, self.scale = rank, alpha / rank

    def adapt(self, network: Any, state: State, seeds: Sequence[int]) -> tuple[Any, State]:
        """A copy of the network that carries the changes, and its values ``[R, ...]``.

        Raises:
            ConfigError: the encoder has no layer that can be adapted.
        """
        changed, values = copy.deepcopy(network), dict(state)
        chances = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        adapted = list(layers(changed))
        if not adapted:
            raise ConfigError(
                f"the encoder {type(network.encoder).__name__} has no linear layer and no "
                "convolution over one or two axes, so a low-rank change has nothing to adapt; "
                "leave lora out of strategies, or take fine_tune"
            )
        for name, layer in adapted:
            original = values.pop(f"{name}.weight")
            outer, inner = original.shape[1], original[0, 0].numel()
            change = Change(outer, inner, rank=self.rank, scale=self.scale)
            parametrize.register_parametrization(layer, "weight", change.to(original))
            down = [uniform((self.rank, inner), chance) for chance in chances]
            values |= {
                f"{name}{INSIDE}original": original,
                f"{name}{INSIDE}0.up": original.new_zeros(len(original), outer, self.rank),
                f"{name}{INSIDE}0.down": torch.stack(down).to(original),
            }
        return changed, values

    def merge(self, state: State) -> State:
        """Values of the network as it was, with the changes in its weights."""
        merged = {name: value for name, value in state.items() if INSIDE not in name}
        for name, original in state.items():
            owner, inside, what = name.partition(INSIDE)
            if inside and what == "original":
                change = state[f"{owner}{INSIDE}0.up"] @ state[f"{owner}{INSIDE}0.down"]
                merged[f"{owner}.weight"] = original + self.scale * change.view_as(original)
        return merged


class Change(nn.Module):
    """``w + scale * up @ down`` for a weight ``[outer, ...]`` of ``inner`` values each."""

    def __init__(self, outer: int, inner: int, *, rank: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.up = nn.Parameter(torch.zeros(outer, rank))
        self.down = nn.Parameter(torch.zeros(rank, inner))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight, of the same shape."""
        return weight + self.scale * (self.up @ self.down).view_as(weight)


def layers(network: Any) -> Iterator[tuple[str, nn.Module]]:
    """The layers of the encoder that can be adapted, by their name in the network."""
    for name, layer in network.encoder.named_modules(prefix="encoder"):
        if isinstance(layer, ADAPTED):
            yield name, layer


def uniform(shape: tuple[int, int], chance: torch.Generator) -> Tensor:
    """Values within ``1/sqrt(inner)``, as in the authors' code."""
    return (2 * torch.rand(shape, generator=chance) - 1) * shape[1] ** -0.5
