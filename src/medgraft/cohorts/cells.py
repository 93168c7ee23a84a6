"""One column of text cells -> numbers, by its rule; whole columns at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.cohorts.codes import Code, Rule
from medgraft.cohorts.table import SHOWN, Problem, RawTable

LONGEST = 40  # characters of a cell worth showing
MOST_CODES = 10
LARGEST = float(np.finfo(np.float32).max)  # arrays on disk are float32


@dataclass(frozen=True)
class Reading:
    """A column read: `values` [n, ...]; numbers are float64 [n], NaN where missing or wrong.

    `wrong` and `missing` are bool [n]; `disguised` counts, per raw value, what was turned into
    missing although it looks like a measurement. `why` says of a wrong row what a rule cannot, and
    `details` what the column turned out to hold (see `schema.Column`).
    """

    values: NDArray[Any]
    missing: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    disguised: dict[str, int] = field(default_factory=dict)
    why: dict[int, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


class Readable(Protocol):
    """What turns the text cells of one column into values, and says what is wrong with one."""

    def read(self, cells: pl.Series, *, missing: tuple[Code, ...], folder: Path) -> Reading:
        """Read cells [n]; `missing` are codes for missing, `folder` is where files are named from.

        What does not fit is marked as wrong, never raised.
        """

    def breach(self, name: str, cells: pl.Series, reading: Reading, row: int) -> str:
        """What is wrong with one cell: `column age: got "x", expected a number in years`."""


@dataclass(frozen=True)
class Ruled:
    """A column of numbers or codes."""

    rule: Rule

    def read(self, cells: pl.Series, *, missing: tuple[Code, ...], folder: Path) -> Reading:
        """Numbers [n] by the rule; `missing` joins the rule's own codes."""
        del folder
        return read_column(cells, replace(self.rule, missing=(*missing, *self.rule.missing)))

    def breach(self, name: str, cells: pl.Series, reading: Reading, row: int) -> str:
        """What came, and what the rule expects."""
        return breach(name, cells, reading, self.rule, row)


def read_column(cells: pl.Series, rule: Rule) -> Reading:
    """Turn text cells [n] into numbers; what does not fit the rule is marked, never raised."""
    number = cells.cast(pl.Float64, strict=False)
    disguised = _among(cells, number, rule.disguised)
    missing = _among(cells, number, rule.missing) | disguised
    value = _numbers(number, rule) if rule.codes is None else _indices(cells, number, rule.codes)
    value = value.set(missing, None)
    wrong = value.is_null() & (~missing | rule.never_missing)
    counts = cells.filter(disguised).value_counts(sort=True)
    return Reading(
        value.to_numpy(),
        missing.to_numpy(),
        wrong.to_numpy(),
        dict(zip(counts.to_series(0), counts["count"], strict=True)),
    )


def problems(name: str, column: Readable, table: RawTable, reading: Reading) -> Iterator[Problem]:
    """The first of the column's wrong cells as sentences, at most `SHOWN`."""
    for row in np.flatnonzero(reading.wrong)[:SHOWN].tolist():
        yield table.problem(row, column.breach(name, table.cells[name], reading, row))


def breach(name: str, cells: pl.Series, reading: Reading, rule: Rule, row: int) -> str:
    """What is wrong with one cell: `column age: got "x", expected a number in years`."""
    return f"column {name}: {got(cells, reading, row)}, expected {expectation(rule)}"


def got(cells: pl.Series, reading: Reading, row: int) -> str:
    """What one cell holds: `got "x"`, or `missing`."""
    return "missing" if reading.missing[row] else f'got "{_shorten(cells[row])}"'


def expectation(rule: Rule) -> str:
    """What a cell should hold: `a number in mg/dl between 50 and 700`, `one of 0, 1`."""
    if rule.codes is None:
        unit = f" in {rule.unit}" if rule.unit else ""
        between = f" between {rule.range[0]:g} and {rule.range[1]:g}" if rule.range else ""
        return f"a number{unit}{between}"
    codes = [str(code) for code in rule.codes]
    more = f", … ({len(codes)} codes)" if len(codes) > MOST_CODES else ""
    return f"one of {', '.join(codes[:MOST_CODES])}{more}"


def absent(cells: pl.Series, codes: tuple[Code, ...]) -> pl.Series:
    """Which cells [n] hold one of the codes for missing."""
    return _among(cells, cells.cast(pl.Float64, strict=False), codes)


def _shorten(cell: str) -> str:
    return cell if len(cell) <= LONGEST else f"{cell[:LONGEST]}…"


def _among(cells: pl.Series, number: pl.Series, codes: tuple[Code, ...]) -> pl.Series:
    texts = [code for code in codes if isinstance(code, str)]
    numbers = [float(code) for code in codes if not isinstance(code, str)]
    return cells.is_in(texts) | number.is_in(numbers).fill_null(False)


def _numbers(number: pl.Series, rule: Rule) -> pl.Series:
    low, high = rule.range or (-LARGEST, LARGEST)
    fits = number.is_between(max(low, -LARGEST), min(high, LARGEST))
    return number.set(~fits.fill_null(False), None)


def _indices(cells: pl.Series, number: pl.Series, codes: Mapping[Code, float]) -> pl.Series:
    texts = {code: index for code, index in codes.items() if isinstance(code, str)}
    numbers = {float(code): index for code, index in codes.items() if not isinstance(code, str)}
    by_text = cells.replace_strict(texts, default=None, return_dtype=pl.Float64)
    by_number = number.replace_strict(numbers, default=None, return_dtype=pl.Float64)
    return by_text.zip_with(by_text.is_not_null(), by_number)
