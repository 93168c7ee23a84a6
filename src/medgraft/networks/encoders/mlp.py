"""Multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from medgraft.construct import Count

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


class Mlp(nn.Module):
    """Linear layers, each followed by the activation; ``layers[i]`` is what a strategy may freeze.

    Args:
        inputs: width of the prepared input.
        widths: width of each hidden layer, e.g. ``[64, 64]``.
        activation: ``relu``, ``gelu`` or ``tanh``.
    """

    places: ClassVar[int] = 0

    def __init__(self, inputs: int, widths: Sequence[Count], activation: str = "relu") -> None:
        super().__init__()
        self.widths = list(widths)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(before, after), ACTIVATIONS[activation]())
            for before, after in zip([inputs, *self.widths], self.widths, strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """``[n, inputs]`` to the outputs of all layers, ``[n, widths[i]]`` each."""
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs
