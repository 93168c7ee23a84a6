"""What every kind of measured column can do."""

import importlib
import inspect
import pkgutil
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl

from medgraft.cohorts import kinds
from medgraft.cohorts.cells import Reading
from medgraft.cohorts.codes import Code, Rule, Strict
from medgraft.cohorts.schema import Column


class Measured(Strict):
    """A column of measurements as `cohort.yaml` describes it.

    Most kinds give one number a row. A *block* kind gives an array a row (a sequence, an image) and
    is then the only measurement of its cohort. `kind` is what `cohort.yaml` calls it, a Literal.
    """

    kind: str
    description: str = ""
    missing: Literal["allowed", "never"] = "allowed"
    missing_codes: tuple[Code, ...] = ()
    disguised_missing: tuple[Code, ...] = ()

    @abstractmethod
    def read(self, cells: pl.Series, *, missing: tuple[Code, ...], folder: Path) -> Reading:
        """Read cells; see `cells.Readable`."""

    @abstractmethod
    def breach(self, name: str, cells: pl.Series, reading: Reading, row: int) -> str:
        """What is wrong with one cell; see `cells.Readable`."""

    @abstractmethod
    def column(self, name: str, reading: Reading) -> Column:
        """The column as the validated cohort states it."""

    @abstractmethod
    def example(self) -> Any:
        """A made-up cell that fits the description: no patient."""

    def served(self, name: str, features: Sequence[Mapping[str, Any]]) -> Mapping[str, "Measured"]:
        """What a new record holds of this column, given the model's features: itself, or nothing.

        A kind whose column becomes several features may ask for those by name instead.
        """
        return {name: self} if name in {feature["name"] for feature in features} else {}

    def rules(self, missing: tuple[Code, ...]) -> tuple[Rule, ...]:
        """The rules whose codes must not contradict each other; none where cells hold no codes."""
        del missing
        return ()


def every() -> tuple[type[Measured], ...]:
    """Every kind there is: the classes in the modules beside this one that leave nothing abstract.

    By module and by place in it, so that messages list them alike everywhere.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(kinds.__path__))
    modules = [importlib.import_module(f"{kinds.__name__}.{name}") for name in names]
    return tuple(
        found
        for module in modules
        for found in vars(module).values()
        if isinstance(found, type)
        and found.__module__ == module.__name__
        and issubclass(found, Measured)
        and not inspect.isabstract(found)
    )
