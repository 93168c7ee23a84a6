"""What every kind of outcome can do."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts.cells import Ruled
from medgraft.cohorts.codes import Code, Strict
from medgraft.cohorts.schema import Outcome

Numbers = NDArray[np.float64]


class DescribedOutcome(Strict):
    """An outcome as `cohort.yaml` describes it: the columns it is read from, and what they mean."""

    description: str = ""

    @abstractmethod
    def columns(self) -> dict[str, Ruled]:
        """The columns of the file it is read from, and how each is read."""

    @abstractmethod
    def outcome(self, name: str) -> Outcome:
        """The outcome as the validated cohort states it."""

    def y(self, values: Mapping[str, Numbers]) -> Numbers:
        """The outcome [n] or [n, k] from the values [n] of its columns; NaN where not recorded."""
        return values[next(iter(self.columns()))]

    def known(self, y: Numbers) -> NDArray[np.bool_]:
        """Which rows [n] have an outcome to learn from or to be judged by."""
        return np.asarray(~np.isnan(y.reshape(len(y), -1)).any(axis=1))


def classes_differ(groups: Mapping[Any, tuple[Any, ...]], number: int) -> None:
    """Raise ValueError where a code belongs to two classes, or two classes share a label."""
    counts = Counter(code for codes in groups.values() for code in codes)
    if repeated := [code for code, count in counts.items() if count > 1]:
        raise ValueError(f"{repeated[0]!r} belongs to more than one class")
    if len(groups) < number:
        raise ValueError("the two classes have the same label; write labels: [negative, positive]")


def coded(groups: Mapping[Any, tuple[Code, ...]]) -> dict[Code, float]:
    """Raw code -> index of its class."""
    return {code: float(i) for i, codes in enumerate(groups.values()) for code in codes}
