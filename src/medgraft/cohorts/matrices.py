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

from medgraft.cohorts import files
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
    if not path.is_file():
        raise CohortError(f"{path}: there is no such file")
    matrix = _reader(path)(path, tuple(missing))
    rows, columns = (len(set(ids) & set(wanted)) for ids in (matrix.samples, matrix.probes))
    _distinct(matrix, genes="columns" if rows > columns else "rows" if columns > rows else "")
    return matrix.transposed() if columns > rows else matrix


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
    """Refuse an id that stands for two; only one of `genes`, rows or columns, is shown.

    Others may be samples' ids, and those patients' names.
    """
    for side, ids in (("rows", matrix.samples), ("columns", matrix.probes)):
        names, counts = np.unique(ids.astype(str), return_counts=True)
        twice = names[counts > 1].tolist()
        if twice:
            more = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
            one, two = (np.flatnonzero(ids == twice[0])[:2] + 1).tolist()
            where = f"{side} {one} and {two} (without the header) have one name"
            told = f"{quoted(twice[0])} stands in it twice" if side == genes else where
            raise CohortError(f"{matrix.path}: {told}{more}")


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
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise CohortError(f"{path}: not a parquet table ({_first_line(error)})") from None
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    if not texts:
        raise CohortError(f"{path}: no column is text, expected one that holds the ids")
    numbers = frame.drop(texts[0])
    return _matrix(path, frame[texts[0]], numbers.columns, numbers, missing)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


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
    """AnnData's layout on disk: https://anndata.readthedocs.io/en/latest/fileformat-prose.html."""
    try:
        import h5py
    except ImportError:
        raise CohortError(
            f"{path}: reading .h5ad needs h5py: pip install 'medgraft[h5ad]'"
        ) from None
    try:
        with h5py.File(path) as file:
            samples, probes = (_index(file[name]) for name in ("obs", "var"))
            values = _dense(file["X"], (len(samples), len(probes)))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise CohortError(f"{path}: not an AnnData file ({_first_line(error)})") from None
    codes = [float(code) for code in missing if not isinstance(code, str)]
    strange = np.argwhere(np.isinf(values))[:FOREIGN]
    foreign = {(int(row), int(column)): str(values[row, column]) for row, column in strange}
    values[np.isin(values, codes) | np.isinf(values)] = np.nan
    return Matrix(path, samples, probes, values, foreign)


def _index(group: Any) -> Objects:
    ids = group[group.attrs["_index"]]
    ids = ids["values"] if hasattr(ids, "keys") else ids  # text that may be missing is a group
    return _objects(ids.asstr()[:].tolist())


def _dense(stored: Any, shape: tuple[int, int]) -> Numbers:
    kind = stored.attrs.get("encoding-type", "array")
    if kind not in ("csr_matrix", "csc_matrix"):
        return np.asarray(stored[:], dtype=np.float64).reshape(shape)
    from scipy.sparse import csc_array, csr_array

    parts = tuple(stored[name][:] for name in ("data", "indices", "indptr"))
    build = csr_array if kind == "csr_matrix" else csc_array
    return np.asarray(build(parts, shape=shape).toarray(), dtype=np.float64)
