"""Tables in parquet."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from medgraft.cohorts import damage
from medgraft.cohorts.cells import EXACT, as_text
from medgraft.cohorts.files import opened
from medgraft.cohorts.table import NONE, RawTable, Types, header_problems, joined
from medgraft.errors import CohortError

BLOCK = 20_000  # rows held as text at a time
TYPED = 50_000  # rows held as numbers: memory of larger parts would be asked for anew every time
AHEAD = 100_000  # rows read together, or one block: a row group is unpacked anew for every read
NESTED = (pl.Binary, pl.List, pl.Array, pl.Struct, pl.Object)


def read(
    path: Path, *, expected: Sequence[str], header: bool = True, optional: Sequence[str] = ()
) -> RawTable:
    """Read a table whose cells become text, as delimited text would hold them: 1, not 1.0.

    Args:
        path: The file.
        expected: Names of the columns.
        header: Parquet names its columns: always True.
        optional: Names of columns the file may hold as well.

    Raises:
        CohortError: the file is no parquet table, its columns are not those expected, or one holds
            neither numbers nor text.
    """
    del header
    table = joined(blocks(path, expected=expected, optional=optional))
    return RawTable(table.cells.fill_null(""), table.lines)


def stream(
    path: Path,
    *,
    expected: Sequence[str],
    header: bool = True,
    optional: Sequence[str] = (),
    start: int = 0,
    rows: int | None = None,
    types: Types = NONE,
) -> Iterator[RawTable]:
    """As `read`, in parts of a bounded size; cells that are exact numbers stay numbers.

    Of the file `rows` rows from `start` on, or all of them. Texts of the columns that `types` calls
    an Enum are of it where every one fits.
    """
    del header
    yield from _blocks(
        path,
        expected,
        optional,
        rows=TYPED,
        form=partial(_numbers_or_text, types=types),
        of=(start, rows),
    )


def blocks(
    path: Path, *, expected: Sequence[str], optional: Sequence[str] = (), rows: int = BLOCK
) -> Iterator[RawTable]:
    """As `read`, at most `rows` at a time, null where a cell is; at least one table."""
    yield from _blocks(path, expected, optional, rows=rows, form=as_text)


def _blocks(
    path: Path,
    expected: Sequence[str],
    optional: Sequence[str],
    *,
    rows: int,
    form: Callable[[pl.DataFrame], pl.DataFrame],
    of: tuple[int, int | None] = (0, None),
) -> Iterator[RawTable]:
    begin, some_rows = of
    total = height(path) if some_rows is None else begin + some_rows
    scan = _scan(path)
    with damage.refused(path):
        schema = scan.collect_schema()
    known = [*expected, *(name for name in optional if name in schema)]
    if problems := list(header_problems(schema, known)):
        raise CohortError("\n".join(f"{path}: {problem}" for problem in problems))
    for name in known:
        if isinstance(schema[name], NESTED):
            kind = schema[name].base_type()
            raise CohortError(f'{path}: column "{name}" holds {kind}, expected one value')
    together = rows * max(1, AHEAD // rows)
    for start in range(begin, max(1, total), together):
        some = _cells(path, scan.slice(start, min(together, max(1, total) - start)), form)
        for at in range(0, max(1, len(some)), rows):
            cells = some[at : at + rows]
            first = start + at + 1
            yield RawTable(cells, np.arange(first, first + len(cells), dtype=np.int64))


def _numbers_or_text(cells: pl.DataFrame, types: Types) -> pl.DataFrame:
    other = [column for column in cells if column.dtype not in EXACT]
    return cells.with_columns(_fitting(column, types.get(column.name)) for column in other)


def _fitting(column: pl.Series, kind: pl.DataType | None) -> pl.Series:
    if isinstance(kind, pl.Enum) and column.dtype == pl.String:
        fitting = column.cast(kind, strict=False)
        if fitting.null_count() == column.null_count():
            return fitting
    return as_text(column.to_frame()).to_series().fill_null("")


def _cells(
    path: Path, some: pl.LazyFrame, form: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    with damage.refused(path):
        return form(some.collect())


def height(path: Path) -> int:
    """How many rows a file says it has.

    Raises:
        CohortError: it is no parquet table.
    """
    with opened(path):  # that it is there, and a file
        pass
    with damage.refused(path):
        return int(_scan(path).select(pl.len()).collect().item())


about = height
"""What `cohorts.load` makes room for."""


def _scan(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False)  # else the file "a*" would be all that begin with a
