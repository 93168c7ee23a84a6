"""One column of text cells -> numbers, by its rule; whole columns at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.cohorts.codes import Code, Rule
from medgraft.cohorts.table import SHOWN, Problem, RawTable, quoted

CELL = "cell"
LONGEST = 40  # characters of a cell worth showing
MOST_CODES = 10
LARGEST = float(np.finfo(np.float32).max)  # arrays on disk are float32
# Typed cells that are numbers to the last bit whether read as they are or as text.
EXACT = (pl.Float64, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)


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

    def rules(self, missing: tuple[Code, ...]) -> tuple[Rule, ...]:
        """The rules that cells are read by, `missing` joined to their codes; a block has none."""


@dataclass(frozen=True)
class Ruled:
    """A column of numbers or codes."""

    rule: Rule

    def read(self, cells: pl.Series, *, missing: tuple[Code, ...], folder: Path) -> Reading:
        """Numbers [n] by the rule; `missing` joins the rule's own codes."""
        del folder
        return read_column(cells, *self.rules(missing))

    def rules(self, missing: tuple[Code, ...]) -> tuple[Rule]:
        """The one rule."""
        return (replace(self.rule, missing=(*missing, *self.rule.missing)),)

    def breach(self, name: str, cells: pl.Series, reading: Reading, row: int) -> str:
        """What came, and what the rule expects."""
        return breach(name, cells, reading, self.rule, row)


def read_column(cells: pl.Series, rule: Rule) -> Reading:
    """Turn text cells [n] into numbers; what does not fit the rule is marked, never raised.

    Cells that are numbers already (`EXACT`) are read without a detour over text where no code of
    the rule could tell the difference; of cells that are one of a few texts each text is read once.
    """
    if isinstance(cells.dtype, pl.Enum):
        return _one_of_few(cells, rule)
    if cells.dtype in EXACT and rule.codes is None and not {*rule.missing, *rule.disguised} - {""}:
        return _typed(cells, rule)
    cells = text_of(cells)
    # One query: every operation on a series of its own costs polars as much as a thousand cells.
    cell, number = pl.col(CELL), pl.col(CELL).cast(pl.Float64, strict=False)
    disguised = _among(cell, number, rule.disguised)
    missing = _among(cell, number, rule.missing) | disguised
    value = _numbers(number, rule) if rule.codes is None else _indices(cell, number, rule.codes)
    found = (
        cells.alias(CELL)
        .to_frame()
        .select(value=pl.when(~missing).then(value), missing=missing, disguised=disguised)
    )
    absent = found["missing"].to_numpy()
    wrong = found["value"].is_null().to_numpy() & (~absent | rule.never_missing)
    return Reading(found["value"].to_numpy(), absent, wrong, _counts(cells, found["disguised"]))


def _typed(cells: pl.Series, rule: Rule) -> Reading:
    values = cells.cast(pl.Float64).to_numpy()
    absent = np.isnan(values)
    blank = absent & ("" in rule.missing or "" in rule.disguised)
    low, high = rule.range or (-LARGEST, LARGEST)
    fits = (values >= max(low, -LARGEST)) & (values <= min(high, LARGEST))
    wrong = ~fits & (~blank | rule.never_missing)
    disguised = int(absent.sum()) if "" in rule.disguised else 0
    return Reading(
        np.where(fits, values, np.nan), blank, wrong, {"": disguised} if disguised else {}
    )


def _one_of_few(cells: pl.Series, rule: Rule) -> Reading:
    texts = (*cast(pl.Enum, cells.dtype).categories, "")
    each = _every_text(texts, rule)
    row = cells.to_physical().cast(pl.UInt32).fill_null(len(texts) - 1).to_numpy()
    often = {text: int((row == i).sum()) for i, text in enumerate(texts) if text in each.disguised}
    counts = {text: count for text, count in often.items() if count}
    values, missing, wrong = (of.take(row) for of in (each.values, each.missing, each.wrong))
    return Reading(values, missing, wrong, counts)


@lru_cache  # of every part of a file they are the same
def _every_text(texts: tuple[str, ...], rule: Rule) -> Reading:
    return read_column(pl.Series(texts, dtype=pl.String), rule)


def type_of(rule: Rule) -> pl.DataType | None:
    """What a reader may give the cells of a column as, where every one fits; None: text alone.

    Numbers, unless a code for missing wants to see how they are written; or the rule's own codes,
    of which a number has its shortest spelling here and is found in others as text only.
    """
    codes = dict.fromkeys(map(str, (*(rule.codes or ()), *rule.missing, *rule.disguised)))
    written = [code for code in codes if code and code == code.strip()]
    if rule.codes is not None:
        return pl.Enum(written)
    return None if written else pl.Float64()


def text_of(cells: pl.Series) -> pl.Series:
    """Cells as text, "" where there is none; text stays as it is."""
    if cells.dtype == pl.String:
        return cells
    return as_text(cells.to_frame()).to_series().fill_null("")


def _counts(cells: pl.Series, disguised: pl.Series) -> dict[str, int]:
    """How often each raw value is disguised, the most frequent first."""
    if not disguised.any():
        return {}
    counts = cells.filter(disguised).value_counts(sort=True)
    return dict(zip(counts.to_series(0), counts["count"], strict=True))


def problems(name: str, column: Readable, table: RawTable, reading: Reading) -> Iterator[Problem]:
    """The first of the column's wrong cells as sentences, at most `SHOWN`."""
    for row in np.flatnonzero(reading.wrong)[:SHOWN].tolist():
        yield table.problem(row, column.breach(name, table.cells[name], reading, row))


def breach(name: str, cells: pl.Series, reading: Reading, rule: Rule, row: int) -> str:
    """What is wrong with one cell: `column age: got "x", expected a number in years`."""
    return f"column {name}: {got(cells, reading, row)}, expected {expectation(rule)}"


def got(cells: pl.Series, reading: Reading, row: int) -> str:
    """What one cell holds: `got "x"`, or `missing`."""
    if reading.missing[row]:
        return "missing"
    return f"got {quoted(text_of(cells[row : row + 1])[0], LONGEST)}"


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
    number = pl.col(CELL).cast(pl.Float64, strict=False)
    return cells.alias(CELL).to_frame().select(_among(pl.col(CELL), number, codes)).to_series()


def as_text(cells: pl.DataFrame) -> pl.DataFrame:
    """Typed cells as a site's delimited text would hold them: 1, not 1.0; NaN is null."""
    return cells.select(_text(pl.nth(i), kind) for i, kind in enumerate(cells.dtypes))


def _text(cell: pl.Expr, kind: pl.DataType) -> pl.Expr:
    if kind.is_float():
        cell = cell.fill_nan(None).cast(pl.String).str.strip_suffix(".0")
    return cell.cast(pl.String).str.strip_chars()


def _among(cell: pl.Expr, number: pl.Expr, codes: tuple[Code, ...]) -> pl.Expr:
    texts = [code for code in codes if isinstance(code, str)]
    numbers = [float(code) for code in codes if not isinstance(code, str)]
    among = [cell.is_in(texts)] if texts else []
    among += [number.is_in(numbers).fill_null(False)] if numbers else []
    return pl.any_horizontal(among) if among else pl.repeat(False, pl.len())


def _numbers(number: pl.Expr, rule: Rule) -> pl.Expr:
    low, high = rule.range or (-LARGEST, LARGEST)
    return pl.when(number.is_between(max(low, -LARGEST), min(high, LARGEST))).then(number)


def _indices(cell: pl.Expr, number: pl.Expr, codes: Mapping[Code, float]) -> pl.Expr:
    texts = {code: index for code, index in codes.items() if isinstance(code, str)}
    numbers = {float(code): index for code, index in codes.items() if not isinstance(code, str)}
    # Where no code is a number no cell is taken for one: that costs half as much again.
    return pl.coalesce(
        one.replace_strict(known, default=None, return_dtype=pl.Float64)
        for one, known in ((cell, texts), (number, numbers))
        if known
    )
