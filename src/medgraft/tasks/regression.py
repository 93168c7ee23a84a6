"""A value in a unit; a head answers it as it is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from medgraft.tasks.task import NO_TIMES, Floats, Part, Task


class Regression(Task):
    """A value, y [n]."""

    loss = "squared error"

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

    def columns(self, answers: Floats, outcome: Mapping[str, Any]) -> list[pl.Series]:
        """The value."""
        del outcome
        return [pl.Series("predicted", answers[:, 0]).fill_nan(None)]


TASK = Regression()
