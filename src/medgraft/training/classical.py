"""How a classical learner reads patients, of the target alone or of both cohorts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medgraft.construct import construct
from medgraft.training.patients import Patients
from medgraft.transfer.baselines.labels import PerLabel
from medgraft.transfer.baselines.recipe import Baseline, Fitted


@dataclass
class Reader:
    """Raw patients to a learner's inputs.

    ``input``: the preparation, with one cohort's fitted values at a time. ``hidden``: features that
    only one cohort measures; a learner that sees the source does without. ``learn_from``: as in a
    strategy; where it is both, a last input says which cohort a patient is of.
    """

    input: Any
    hidden: list[int]
    learn_from: str

    def fit(self, x: np.ndarray) -> dict[str, Tensor]:
        """Fit the preparation on these patients and use it from now on."""
        own: dict[str, Tensor] = self.input.fit(x)
        self.input.load_state_dict(own)
        return own

    def __call__(self, x: np.ndarray, *, source: bool = False) -> np.ndarray:
        """``[n, ...]`` raw to ``[n, width]``, a column more where the cohort is told."""
        inputs = prepared(self.input, without(x, self.hidden))
        if self.learn_from != "both" or inputs.ndim != 2:
            return inputs
        return np.concatenate([inputs, np.full((len(x), 1), float(source))], axis=1)


def reader(spec: Mapping[str, Any], schema: Mapping[str, Any], *, learn_from: str) -> Reader:
    """The reader of a baseline that learns from ``target``, ``both`` or ``source``.

    Args:
        spec: constructor of the input.
        schema: the target's prepared ``schema.json``.
        learn_from: as in a strategy.
    """
    features = schema["features"]
    alone = [i for i, feature in enumerate(features) if feature["origin"] != "shared"]
    hidden = alone if learn_from != "target" else []
    return Reader(construct(spec, features=features), hidden, learn_from)


def fit_one(
    recipe: Baseline | PerLabel, read: Reader, patients: Patients, r: int
) -> tuple[Fitted, dict[str, Tensor]]:
    """Replica ``r``'s learner, and its preparation, which ``read`` then uses.

    ``patients`` are the target's; the source's, where it is learned, are beside them. Each cohort
    is prepared by its own values, as two platforms or laboratories share no unit.
    """
    rows, source = patients.train[r], patients.beside
    parts, weights = [], None
    if source:
        theirs = source.train[r]
        read.fit(source.x[theirs])
        parts.append((read(source.x[theirs], source=True), source.y[theirs]))
    own = read.fit(patients.x[rows])
    if read.learn_from != "source":
        parts.append((read(patients.x[rows]), patients.y[rows]))
    if len(parts) == 2:
        weights = source_weights(len(parts[0][1]), len(rows))
    inputs, y = (np.concatenate(each) for each in zip(*parts, strict=True))
    return recipe.fit(inputs, y, seed=patients.seeds[r], weights=weights), own


def source_weights(source: int, target: int) -> np.ndarray:
    """What each patient counts ``[source + target]``, the source's first.

    A patient of the source never counts more than one of the target, and all of them together never
    more than all of the target: a large source would outvote the cohort that is asked about.
    """
    return np.repeat([min(1.0, target / source), 1.0], [source, target])


def without(x: np.ndarray, hidden: list[int]) -> np.ndarray:
    """The same rows with these columns missing."""
    if not hidden:
        return x
    masked = x.copy()
    masked[..., hidden] = np.nan
    return masked


@torch.no_grad()
def prepared(first: Any, x: np.ndarray) -> np.ndarray:
    """Raw patients ``[n, ...]`` as a baseline's inputs ``[n, width]``."""
    inputs: Tensor = first(torch.from_numpy(x))
    return inputs.double().numpy()
