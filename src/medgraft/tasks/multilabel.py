"""Several labels, any number of which may hold; a head answers a logit for each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from medgraft.tasks.task import EPS, NO_TIMES, Floats, Integers, Part, Quantity, Task, named

LEAST_STRATUM = 10
"""So few rows cannot be spread over folds; they join the largest stratum."""


class Multilabel(Task):
    """Labels, y [n, L] of 0 and 1, NaN where not recorded."""

    figures = ("labels", "calibration")

    def probabilities(self, raw: Floats) -> Floats:
        """Of every label, [m, L]."""
        chance: Floats = expit(raw)
        return chance

    def row_losses(self, y: Floats, said: Floats, horizons: Floats = NO_TIMES) -> Floats:
        """Mean of minus the log probability of what is true of every label a row recorded."""
        del horizons
        losses = -np.log(np.maximum(np.where(y == 1, said, 1 - said), EPS))
        known = ~np.isnan(y)
        with np.errstate(invalid="ignore"):
            mean: Floats = np.where(known, losses, 0.0).sum(axis=1) / known.sum(axis=1)
        return mean

    def strata(self, y: Floats, names: Sequence[str]) -> tuple[Integers, tuple[str, ...]]:
        """For each row the number (from 1) of the rarest label that holds; 0 for none."""
        holds = np.nan_to_num(y) == 1
        rarity = np.where(holds, holds.sum(axis=0), len(y) + 1)
        rarest = np.where(holds.any(axis=1), rarity.argmin(axis=1) + 1, 0)
        sizes = np.bincount(rarest)
        stratum = np.where(sizes[rarest] < LEAST_STRATUM, sizes.argmax(), rarest)
        return stratum, ("none", *names)

    def parts(self, name: str, y: Floats, names: Sequence[str]) -> Iterator[Part]:
        """Each label, where it was recorded."""
        del name
        for i, label in enumerate(names):
            known = ~np.isnan(y[:, i])
            yield Part(label, known, y[known, i], ("no", "yes"))

    def quantities(
        self, y: Floats, name: str, names: Sequence[str], unit: str
    ) -> Iterator[Quantity]:
        """Each label, among rows that recorded it."""
        del name, unit
        known = (~np.isnan(y)).astype(float)
        for i, label in enumerate(names):
            yield Quantity(label, "", np.nan_to_num(y[:, i]), known[:, i])

    def sizes(self, y: Floats, names: Sequence[str]) -> dict[str, int]:
        """How many rows have each label."""
        return dict(zip(names, np.nansum(y, axis=0).astype(int).tolist(), strict=True))

    def columns(self, answers: Floats, outcome: Mapping[str, Any]) -> list[pl.Series]:
        """The probability of each label."""
        return named("probability", outcome["classes"], answers)


TASK = Multilabel()
