"""A whole network: preparation, shared layers, specific layers, recalibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medgraft.construct import construct
from medgraft.errors import ConfigError

# What inputs and encoders call `places`: how many dimensions of position a patient has.
READ = ("tables and genes", "sequences", "images")


class Recalibration(nn.Module):
    """``intercept + slope * output``; the identity until a strategy fits it."""

    intercept: Tensor
    slope: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.register_buffer("intercept", torch.zeros(outputs))
        self.register_buffer("slope", torch.ones(()))

    def forward(self, outputs: Tensor) -> Tensor:
        """``[n, outputs]`` to ``[n, outputs]``."""
        return self.intercept + self.slope * outputs


class Network(nn.Module):
    """Raw patients to raw outputs. The parts are the four nouns strategies speak of.

    ``input`` and ``encoder`` are the shared layers, ``readout`` and ``head`` the specific ones.
    """

    # Any, not nn.Module: each part has methods of its own (fit, loss) beside forward.
    input: Any
    encoder: Any
    readout: Any
    head: Any

    def __init__(
        self, input: nn.Module, encoder: nn.Module, readout: nn.Module, head: nn.Module
    ) -> None:
        super().__init__()
        self.input = input
        self.encoder = encoder
        self.readout = readout
        self.head = head
        self.recalibration = Recalibration(self.head.outputs)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Outputs ``[n, outputs]`` of raw patients ``[n, ...]``; given ``y``, losses ``[n]``.

        Training comes before recalibration, so losses are those of the head.
        """
        outputs = self.head(self.readout(self.layers(x)))
        return self.recalibration(outputs) if y is None else self.head.loss(outputs, y)

    def layers(self, x: Tensor) -> list[Tensor]:
        """Outputs of the shared layers for raw patients ``[n, widths[i]]``, pooled over places."""
        return self.pooled(self.maps(x))

    def maps(self, x: Tensor) -> list[Tensor]:
        """Feature maps of the shared layers ``[n, channels, *positions]`` for raw patients."""
        return self.encoder(self.input(x))

    def pooled(self, maps: list[Tensor]) -> list[Tensor]:
        """Feature maps as vectors ``[n, widths[i]]``."""
        pool = getattr(self.encoder, "pool", None)
        return [pool(one) for one in maps] if pool else maps

    def fit(self, x: np.ndarray, y: np.ndarray) -> dict[str, Tensor]:
        """The buffers that depend on patients, from training patients ``x [n, ...]``, ``y [n]``."""
        fitted = {f"input.{name}": value for name, value in self.input.fit(x).items()}
        return fitted | {f"head.{name}": value for name, value in self.head.fit(y).items()}


def build(spec: Mapping[str, Any], schema: Mapping[str, Any], *, seed: int) -> Network:
    """One freshly initialised network.

    Args:
        spec: constructors of ``input``, ``encoder``, ``readout`` and ``head``.
        schema: a prepared ``schema.json``: its features shape the input, its outcome the head.
        seed: of the initial weights; the global generator is left as it was.
    """
    with seeded(seed):
        first, encoder = shared_layers(spec, schema)
        readout = construct(spec["readout"], widths=encoder.widths)
        head = construct(spec["head"], width=readout.width, outcome=schema["outcome"])
    return Network(first, encoder, readout, head)


def shared_layers(spec: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[Any, Any]:
    """Input and encoder, as `build` describes them.

    Raises:
        ConfigError: the encoder reads patients of another kind than the input gives.
    """
    first = construct(spec["input"], features=schema["features"])
    encoder = construct(spec["encoder"], inputs=first.width)
    given, read = getattr(first, "places", encoder.places), encoder.places
    if given != read:
        raise ConfigError(
            f"the encoder {type(encoder).__name__} reads {READ[read]}, and preparation gives "
            f"{READ[given]}: expected another encoder"
        )
    return first, encoder


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from this seed; the global generator is left as it was.

    Networks are made on the CPU. ``torch.manual_seed`` would queue a call for every GPU as well,
    which takes as long as making a small network.
    """
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)
