"""Files that hold one number per sample and probe: text, parquet, AnnData."""

import codecs
import csv
import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.cohorts import anndata, damage, files
from medgraft.cohorts.table import quoted
from medgraft.errors import CohortError

Objects = NDArray[np.object_]
Numbers = NDArray[np.float64]

ABSENT = ("", "NA", "NaN", "nan", "null")  # what R, Python and SQL write where nothing was measured
FOREIGN = 1000  # cells that are no numbers, kept to be shown


@dataclass(frozen=True, eq=False)
class Matrix:
    """`values` float64 [samples, probes], NaN where missing or no number.

    `foreign` maps (sample, probe), as positions, to the text of a cell that is no number; of many,
    the first.
    """

    path: Path
    samples: Objects
    probes: Objects
    values: Numbers
    foreign: dict[tuple[int, int], str]

    def transposed(self) -> "Matrix":
        """Samples and probes exchanged."""
        foreign = {(column, row): text for (row, column), text in self.foreign.items()}
        return Matrix(self.path, self.probes, self.samples, self.values.T, foreign)


def read(path: Path, *, wanted: Collection[str], missing: Sequence[int | float | str]) -> Matrix:
    """Read a matrix that has samples as rows or as columns, whichever side holds more `wanted` ids.

    Args:
        path: `.csv`, `.tsv` or `.txt` (plain or `.gz`), `.parquet`, or `.h5ad`. The first column of
            text (of parquet: the one column that is text) and the first line hold the ids.
        wanted: Sample identifiers.
        missing: Codes for missing; empty cells and NA always are.

    Raises:
        CohortError: the file cannot be read as a matrix, or an id stands in it twice.
    """
    with files.opened(path):  # that it is there, and a file
        pass
    matrix = _reader(path)(path, tuple(missing))
    rows, columns = (len(set(ids) & set(wanted)) for ids in (matrix.samples, matrix.probes))
    _distinct(matrix, genes="columns" if rows > columns else "rows" if columns > rows else "")
    turned = matrix.transposed() if columns > rows else matrix
    if rows != columns:  # else what would be genes may be the samples, whom no message names
        _refuse_words(turned)
    return turned


def _reader(path: Path) -> Callable[[Path, tuple[int | float | str, ...]], Matrix]:
    endings = {
        ".csv": _csv,
        ".tsv": _tsv,
        ".txt": _tsv,
        ".parquet": _parquet,
        ".h5ad": _anndata,
    }
    name = path.name.removesuffix(".gz")
    ending = Path(name).suffix
    if ending not in endings:
        raise CohortError(f"{path}: got a file *{ending}, expected one of {', '.join(endings)}")
    return endings[ending]


def _distinct(matrix: Matrix, *, genes: str) -> None:
    """Refuse an id that is empty or stands for two; only one of `genes`, rows or columns, is shown.

    Others may be samples' ids, and those patients' names.
    """
    for side, ids in (("row", matrix.samples), ("column", matrix.probes)):
        if nameless := (np.flatnonzero(ids == "") + 1).tolist():
            more = f" and {len(nameless) - 1} more" if len(nameless) > 1 else ""
            raise CohortError(
                f"{matrix.path}: {side} {nameless[0]} (without the header) has no name{more}"
            )
    for side, ids in (("rows", matrix.samples), ("columns", matrix.probes)):
        names, counts = np.unique(ids.astype(str), return_counts=True)
        twice = names[counts > 1].tolist()
        if twice:
            more = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
            one, two = (np.flatnonzero(ids == twice[0])[:2] + 1).tolist()
            where = f"{side} {one} and {two} (without the header) have one name"
            told = f"{quoted(twice[0])} stands in it twice" if side == genes else where
            raise CohortError(f"{matrix.path}: {told}{more}")


def _refuse_words(matrix: Matrix) -> None:
    """Refuse a probe without one number: a column of names or remarks, which no message repeats."""
    strange = sorted({probe for _, probe in matrix.foreign})
    words = [probe for probe in strange if np.isnan(matrix.values[:, probe]).all()]
    if words:
        more = f" (nor of {len(words) - 1} more)" if len(words) > 1 else ""
        raise CohortError(
            f"{matrix.path}: no value of {quoted(matrix.probes[words[0]])}{more} is a number; "
            "expected samples and genes alone: take it out of the file"
        )


def _csv(path: Path, missing: tuple[int | float | str, ...]) -> Matrix:
    return _text(path, ",", missing)


def _tsv(path: Path, missing: tuple[int | float | str, ...]) -> Matrix:
    return _text(path, "\t", missing)


def _text(path: Path, delimiter: str, missing: tuple[int | float | str, ...]) -> Matrix:
    data = content(path)
    header, width = _header(path, data, delimiter)
    codes = [*ABSENT, *(code for code in missing if isinstance(code, str))]
    names = [f"column_{i + 1}" for i in range(width)]
    numbers: dict[str, Any] = dict.fromkeys(names[1:], pl.Float64)
    try:
        frame = _frame(data, delimiter, codes, {names[0]: pl.String} | numbers)
    except pl.exceptions.PolarsError:  # a cell is no number: read it as text to say which
        frame = _as_text(path, data, delimiter, codes, names)
    return _matrix(path, frame.to_series(0), header, frame[:, 1:], missing)


def _as_text(
    path: Path, data: bytes, delimiter: str, codes: list[str], names: list[str]
) -> pl.DataFrame:
    try:
        return _frame(data, delimiter, codes, dict.fromkeys(names, pl.String))
    except pl.exceptions.PolarsError:
        raise CohortError(f"{path}: not delimited text; is a quote left open?") from None


def _frame(data: bytes, delimiter: str, codes: list[str], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.read_csv(
        data,
        separator=delimiter,
        has_header=False,
        skip_rows=1,
        schema=schema,
        null_values=codes,
        raise_if_empty=False,
    )


def content(path: Path) -> bytes:
    """The bytes of a text file, unpacked where its name ends with `.gz`.

    Raises:
        CohortError: it cannot be read, is cut short, or is not UTF-8.
    """
    try:
        data = files.content(path)
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise CohortError(f"{path}: not UTF-8 text") from None
    if b"\0" in data:
        raise CohortError(f"{path}: holds NUL bytes, expected UTF-8 text (is it binary?)")
    return data.removeprefix(codecs.BOM_UTF8)


def _header(path: Path, data: bytes, delimiter: str) -> tuple[list[str], int]:
    """The ids of the first line, without its corner, and how many columns every line has."""
    lines = data.splitlines()
    if len(lines) < 2:
        raise CohortError(f"{path}: holds no matrix: {len(lines)} lines")
    first, second = (_cells(path, number, lines, delimiter) for number in (1, 2))
    width = len(second)
    if width < 2:
        raise CohortError(f"{path}: found 1 column, expected ids and numbers between {delimiter!r}")
    if len(first) not in (width, width - 1):  # R leaves the corner out
        raise CohortError(f"{path}, line 2: expected {len(first)} columns, got {width}")
    quoted = b'"' in data
    for number, line in enumerate(lines[1:], start=2):
        found = line.count(delimiter.encode()) + 1
        if line and not quoted and found != width:
            raise CohortError(f"{path}, line {number}: expected {width} columns, got {found}")
    return [name.strip() for name in first[-(width - 1) :]], width


def _cells(path: Path, number: int, lines: list[bytes], delimiter: str) -> list[str]:
    try:
        row = csv.reader(io.StringIO(lines[number - 1].decode(), newline=""), delimiter=delimiter)
        return next(row, [])
    except csv.Error as error:
        raise CohortError(f"{path}, line {number}: {error}") from None


def _parquet(path: Path, missing: tuple[int | float | str, ...]) -> Matrix:
    with damage.refused(path):
        frame = pl.read_parquet(path, glob=False)
    kinds = list(frame.schema.values())
    if pl.String not in kinds:
        raise CohortError(f"{path}: no column is text, expected one that holds the ids")
    for number, kind in enumerate(kinds, start=1):  # a column's name may be a patient's
        if not (kind.is_numeric() or kind in (pl.String, pl.Null)):
            raise CohortError(f"{path}: column {number} holds {kind.base_type()}, expected numbers")
    ids = frame.columns[kinds.index(pl.String())]
    numbers = frame.drop(ids)
    return _matrix(path, frame[ids], numbers.columns, numbers, missing)


def _matrix(
    path: Path,
    rows: pl.Series,
    columns: Sequence[str],
    cells: pl.DataFrame,
    missing: tuple[int | float | str, ...],
) -> Matrix:
    """Columns of numbers, or of text that is to hold numbers, as one array."""
    values = np.empty(cells.shape)
    foreign: dict[tuple[int, int], str] = {}
    codes = [float(code) for code in missing if not isinstance(code, str)]
    texts = [code for code in (*ABSENT, *missing) if isinstance(code, str)]
    for position, column in enumerate(cells.iter_columns()):
        number, strange = _numbers(column, texts)
        for row in np.flatnonzero(strange)[: max(0, FOREIGN - len(foreign))].tolist():
            foreign[row, position] = str(column[row]).strip()
        values[:, position] = np.where(strange, np.nan, number)
    values[np.isin(values, codes)] = np.nan
    ids = rows.cast(pl.String).str.strip_chars().fill_null("")
    return Matrix(path, _objects(ids.to_list()), _objects(columns), values, foreign)


def _numbers(column: pl.Series, missing: list[str]) -> tuple[Numbers, NDArray[np.bool_]]:
    """Values [n], NaN where missing, and which cells [n] hold something else than a number."""
    if column.dtype != pl.String:
        values = column.cast(pl.Float64).to_numpy()
        return values, np.isinf(values)
    cells = column.str.strip_chars()
    values = cells.cast(pl.Float64, strict=False).to_numpy()
    empty = (cells.is_null() | cells.is_in(missing)).to_numpy()
    return values, ~empty & ~np.isfinite(values)


def _objects(names: Sequence[str]) -> Objects:
    return np.array([str(name) for name in names], dtype=object)


def _anndata(path: Path, missing: tuple[int | float | str, ...]) -> Matrix:
    samples, probes, values = anndata.read(path)
    codes = [float(code) for code in missing if not isinstance(code, str)]
    strange = np.argwhere(np.isinf(values))[:FOREIGN]
    foreign = {(int(row), int(column)): str(values[row, column]) for row, column in strange}
    values[np.isin(values, codes) | np.isinf(values)] = np.nan
    return Matrix(path, samples, probes, values, foreign)
