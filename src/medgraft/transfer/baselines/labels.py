"""Several labels with any baseline of two classes: one fit per label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medgraft.transfer.baselines.recipe import Arrays, Baseline, Fitted


@dataclass(frozen=True)
class PerLabel:
    """A binary baseline for each of so many labels."""

    binary: Baseline
    labels: int

    def fit(
        self, inputs: np.ndarray, y: np.ndarray, *, seed: int, weights: np.ndarray | None = None
    ) -> Fitted:
        """Fit on ``inputs [n, ...]`` and ``y [n, L]``, each label on the rows that recorded it."""
        each = [self.fit_one(inputs, y[:, label], seed, weights) for label in range(self.labels)]
        return Fitted(self, {name: stacked([one[name] for one in each]) for name in each[0]})

    def fit_one(
        self, inputs: np.ndarray, y: np.ndarray, seed: int, weights: np.ndarray | None = None
    ) -> Arrays:
        """The fitted values of one label.

        A label without a case, or with nothing else, has no fit. One made-up patient, average in
        everything, is then added to the class that is empty, so that it is predicted as rare.
        """
        known = ~np.isnan(y)
        absent = [c for c in (0.0, 1.0) if not (y == c).any()]
        average = np.repeat(inputs.mean(axis=0, keepdims=True), len(absent), axis=0)
        rows = np.concatenate([inputs[known], average])
        counts = None if weights is None else np.append(weights[known], np.ones(len(absent)))
        outcomes = np.append(y[known], absent)
        return self.binary.fit(rows, outcomes, seed=seed, weights=counts).arrays

    def outputs_from(self, arrays: Arrays, inputs: np.ndarray) -> np.ndarray:
        """Logits ``[n, L]`` of prepared rows; ``arrays`` have a leading label axis."""
        each = [
            self.binary.outputs_from({name: value[label] for name, value in arrays.items()}, inputs)
            for label in range(self.labels)
        ]
        return np.concatenate(each, axis=1)


def stacked(values: list[np.ndarray]) -> np.ndarray:
    """Arrays ``[L, ...]`` of different sizes in one, NaN where one is shorter."""
    size = np.max([value.shape for value in values], axis=0)
    together = np.full((len(values), *size), np.nan)
    for row, value in zip(together, values, strict=True):
        row[tuple(map(slice, value.shape))] = value
    return together
