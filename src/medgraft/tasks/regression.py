"""A value in a unit; a head answers it as it is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from medgraft.tasks.task import NO_TIMES, Floats, Part, Quantity, Task


class Regression(Task):
    """A value, y [n]."""

    loss = "squared error"
    one_answer = True
    figures = ("predicted",)

    def probabilities(self, raw: Floats) -> Floats:
        """The values, [m, 1]."""
        return raw

    def row_losses(self, y: Floats, said: Floats, horizons: Floats = NO_TIMES) -> Floats:
        """The squared error."""
        del horizons
        return (y - said[:, 0]) ** 2

    def parts(self, name: str, y: Floats, names: Sequence[str]) -> Iterator[Part]:
        """The outcome itself."""
        del names
        yield Part(name, np.ones(len(y), bool), y, ())

    def quantities(
        self, y: Floats, name: str, names: Sequence[str], unit: str
    ) -> Iterator[Quantity]:
        """The mean."""
        del names
        yield Quantity(f"mean {name}", unit, y, np.ones(len(y)), share=False)

    def surprise(self, y: Floats, said: Floats) -> Floats:
        """The absolute error."""
        return np.abs(said[:, 0] - y)

    def columns(self, answers: Floats, outcome: Mapping[str, Any]) -> list[pl.Series]:
        """The value."""
        del outcome
        return [pl.Series("predicted", answers[:, 0]).fill_nan(None)]

    def plausible(
        self, answers: Floats, reach: float, outcome: Mapping[str, Any]
    ) -> list[pl.Series]:
        """The ends of the interval that may hold the value."""
        del outcome
        ends = {"low": answers[:, 0] - reach, "high": answers[:, 0] + reach}
        return [pl.Series(name, values).fill_nan(None) for name, values in ends.items()]


TASK = Regression()
