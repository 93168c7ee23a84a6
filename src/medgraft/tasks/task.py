"""What an outcome means once it has been read: the one place that knows its arrays.

How it is read from a file is in `cohorts/outcomes`, how a network learns it in `networks/heads`.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.config import task_kinds
from medgraft.errors import StageError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
NO_TIMES = np.empty(0)
EPS = np.finfo(np.float64).eps
"""Probabilities under this count as this: one row costs at most 36 nats, as in scikit-learn."""


@dataclass(frozen=True)
class Part:
    """One of the numbers an outcome consists of, as an outcome of its own.

    rows: which rows [n] have it. y: their values [rows]. classes: what 0, 1, ... mean; empty for a
    value.
    """

    name: str
    rows: Bools
    y: Floats
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Quantity:
    """How often or how much of an outcome there is: sum(above) / sum(below) over rows [n].

    share: whether it is one, 0 to 1. score: [n], what a comparison of cohorts compares; None:
    above - ratio of both * below.
    """

    name: str
    unit: str
    above: Floats
    below: Floats
    share: bool = True
    score: Floats | None = None


class Task(ABC):
    """A kind of outcome; `y` is [n] or [n, k], raw outputs what its heads answer."""

    loss: ClassVar[str] = "log loss"
    """What `row_losses` are called in a sentence."""
    one_answer: ClassVar[bool] = False
    """Whether a patient has one true answer, a class or a value, whose `surprise` is defined."""
    only_differences: ClassVar[bool] = False
    """Whether raw outputs mean something by their differences alone."""
    figures: ClassVar[tuple[str, ...]] = ()
    """What is drawn of it beside what is drawn of every outcome; `reporting/figures.py`."""

    def width(self, outcome: Mapping[str, Any]) -> int:
        """How many numbers `probabilities` gives a patient. outcome: of schema.json."""
        return len(outcome["classes"] or outcome["horizons"]) or 1

    def outputs(self, outcome: Mapping[str, Any]) -> int:
        """How many raw outputs a patient has."""
        return self.width(outcome)

    @abstractmethod
    def probabilities(self, raw: Floats) -> Floats:
        """Raw outputs [m, outputs] as what metrics read, [m, C]: probabilities, or values."""

    @abstractmethod
    def row_losses(self, y: Floats, said: Floats, horizons: Floats = NO_TIMES) -> Floats:
        """A proper loss of every row [n] for what `probabilities` gave [n, C]."""

    def classes(self, y: Floats) -> Integers | None:
        """The class of every row [n], the rarest of which limits what is known; None: no class."""
        del y
        return None

    def strata(self, y: Floats, names: Sequence[str]) -> tuple[Integers, tuple[str, ...]] | None:
        """What is dealt evenly over folds: a class of every row [n], and what the classes are.

        names: of the outcome's classes or labels. None: the values themselves.
        """
        found = self.classes(y)
        return None if found is None else (found, tuple(names))

    @abstractmethod
    def parts(self, name: str, y: Floats, names: Sequence[str]) -> Iterator[Part]:
        """The outcome's numbers, one by one; `names` of its classes or labels."""

    @abstractmethod
    def quantities(
        self, y: Floats, name: str, names: Sequence[str], unit: str
    ) -> Iterator[Quantity]:
        """How often or how much there is of it; `names` of its classes or labels."""

    def about(self, outcome: Mapping[str, Any]) -> list[str]:
        """What each raw output is about: a class, label, the event by a time or the value."""
        return [str(name) for name in outcome["classes"] or [outcome["name"]]]

    def surprise(self, y: Floats, said: Floats) -> Floats:
        """How implausible the truth [n] is by what was said [n, C], where there is one answer."""
        raise NotImplementedError

    def plausible(
        self, answers: Floats, reach: float, outcome: Mapping[str, Any]
    ) -> list[pl.Series]:
        """What else may be true, as columns, where there is one answer.

        answers: [n, C]; NaN becomes empty. reach: the `surprise` up to which an answer is kept.
        """
        del answers, reach, outcome
        return []

    def sizes(self, y: Floats, names: Sequence[str]) -> dict[str, int]:
        """How many rows have each class, label or event; nothing for a value."""
        return {label: int((y == index).sum()) for index, label in enumerate(names)}

    @abstractmethod
    def columns(self, answers: Floats, outcome: Mapping[str, Any]) -> list[pl.Series]:
        """Answers [n, C] as the columns of a table; NaN becomes empty. outcome: of schema.json."""


class Classes(Task):
    """One class out of two or more; y [n] is its index."""

    one_answer = True

    def row_losses(self, y: Floats, said: Floats, horizons: Floats = NO_TIMES) -> Floats:
        """Minus the log probability of the true class, in nats."""
        del horizons
        of_truth = np.take_along_axis(said, y.astype(np.int64)[:, None], axis=1)[:, 0]
        return -np.log(np.maximum(of_truth, EPS))

    def classes(self, y: Floats) -> Integers:
        """The outcome itself."""
        return y.astype(np.int64)

    def parts(self, name: str, y: Floats, names: Sequence[str]) -> Iterator[Part]:
        """The outcome itself."""
        yield Part(name, np.ones(len(y), bool), y, tuple(names))

    def quantities(
        self, y: Floats, name: str, names: Sequence[str], unit: str
    ) -> Iterator[Quantity]:
        """Every class; of two, the second."""
        del name, unit
        for i in range(len(names) == 2, len(names)):
            yield Quantity(names[i], "", (y == i).astype(float), np.ones(len(y)))

    def surprise(self, y: Floats, said: Floats) -> Floats:
        """1 minus the probability of the true class."""
        of_truth: Floats = np.take_along_axis(said, y.astype(np.int64)[:, None], axis=1)[:, 0]
        return 1 - of_truth

    def columns(self, answers: Floats, outcome: Mapping[str, Any]) -> list[pl.Series]:
        """The likeliest class, and the probability of each."""
        names, given = outcome["classes"], ~np.isnan(answers[:, 0])
        likeliest = np.nan_to_num(answers).argmax(axis=1)
        labels = [names[i] if has else None for i, has in zip(likeliest, given, strict=True)]
        predicted = pl.Series("predicted", labels, dtype=pl.String)
        return [predicted, *named("probability", names, answers)]

    def plausible(
        self, answers: Floats, reach: float, outcome: Mapping[str, Any]
    ) -> list[pl.Series]:
        """The classes that may be true, parted by " or "; the likeliest always is among them."""
        kept = (1 - answers <= reach) | (answers == answers.max(axis=1, keepdims=True))
        names = np.array(outcome["classes"], dtype=object)
        sets = [" or ".join(names[row]) or None for row in kept]
        return [pl.Series("plausible", sets, dtype=pl.String)]


def named(noun: str, of: Sequence[str], answers: Floats) -> list[pl.Series]:
    """A column `<noun>_<name>` for each name, from answers [n, names]."""
    return [pl.Series(f"{noun}_{name}", answers[:, i]).fill_nan(None) for i, name in enumerate(of)]


@cache
def of(kind: str) -> Task:
    """The task of this name: `TASK` of the module in this package that is called so.

    Raises:
        StageError: there is none.
    """
    if kind not in task_kinds():
        raise StageError(f"expected a task among {', '.join(task_kinds())}, got {kind!r}")
    found: Task = importlib.import_module(f"medgraft.tasks.{kind}").TASK
    return found
