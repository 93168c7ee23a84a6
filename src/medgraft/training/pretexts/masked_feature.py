"""Pretext for tables: say what a patient's hidden measurements were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from medgraft.construct import Share
from medgraft.networks.inputs.table import TableInput
from medgraft.networks.model import seeded, shared_layers
from medgraft.training.pretexts.pretext import require


@dataclass(frozen=True)
class MaskedFeature:
    """Hide values and learn to restore them; the source's outcome is not looked at.

    A hidden value is replaced by that of another patient of the batch, as in Rubachev et al.,
    "Revisiting pretraining objectives for tabular deep learning" (2022) and SCARF (ICLR 2022): a
    gap would tell the network where to look, and the target has no such gaps.

    Attributes:
        probability: of each value to be hidden.
    """

    probability: Share = 0.3
    outcome: Mapping[str, Any] = field(
        default_factory=lambda: {"name": "hidden features", "task": "pretext", "classes": []}
    )

    def network(
        self, spec: Mapping[str, Any], schema: Mapping[str, Any], *, seed: int
    ) -> Restoration:
        """Shared layers as `networks.model.build` makes them, and one layer that restores."""
        require("masked_feature", schema, "number", "category")
        with seeded(seed):
            first, encoder = shared_layers(spec, schema)
            return Restoration(first, encoder, TableInput(schema["features"]))

    def batch(
        self, x: np.ndarray, y: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Patients ``x [b, d]`` with values hidden, and as they were."""
        del y
        hidden = generator.random(x.shape) < self.probability
        others = generator.integers(0, len(x), x.shape)
        return np.where(hidden, np.take_along_axis(x, others, axis=0), x), x


class Restoration(nn.Module):
    """Raw patients to their prepared values: numbers standardised, categories as logits.

    ``truth`` prepares what is to be restored, whatever the network's own input makes of it.
    """

    def __init__(self, input: Any, encoder: Any, truth: TableInput) -> None:
        super().__init__()
        self.input, self.encoder, self.truth = input, encoder, truth
        self.restore = nn.Linear(encoder.widths[-1], truth.numbers + sum(truth.cardinalities))

    def fit(self, x: np.ndarray, y: np.ndarray) -> dict[str, Tensor]:
        """The buffers that depend on patients, from training patients ``x [n, d]``."""
        del y
        fitted = {f"input.{name}": value for name, value in self.input.fit(x).items()}
        return fitted | {f"truth.{name}": value for name, value in self.truth.fit(x).items()}

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Restored values of ``x [n, d]``; given the true ``y [n, d]``, losses ``[n]``.

        A loss is the mean over a patient's hidden values, 0 where there is none. What was never
        recorded cannot be restored and is not asked.
        """
        restored = self.restore(self.encoder(self.input(x))[-1])
        if y is None:
            return restored
        asked = (x != y) & ~torch.isnan(y)
        errors = torch.where(asked, self.errors(restored, y), 0.0)
        return errors.sum(-1) / asked.sum(-1).clamp(min=1)

    def errors(self, restored: Tensor, y: Tensor) -> Tensor:
        """Squared errors of numbers and cross-entropies of categories, ``[n, d]``."""
        numbers, levels = self.truth.numbers, self.truth.cardinalities
        prepared = self.truth(y)[..., : restored.shape[-1]]
        errors = [(restored[..., :numbers] - prepared[..., :numbers]) ** 2]
        for logits, one_hot in zip(
            restored[..., numbers:].split(levels, -1),
            prepared[..., numbers:].split(levels, -1),
            strict=True,
        ):
            errors.append(-(log_softmax(logits, -1) * one_hot).sum(-1, keepdim=True))
        return torch.cat(errors, dim=-1)
