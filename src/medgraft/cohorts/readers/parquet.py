"""Tables in parquet."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from medgraft.cohorts import damage
from medgraft.cohorts.cells import EXACT, as_text
from medgraft.cohorts.files import opened
from medgraft.cohorts.table import RawTable, header_problems, joined
from medgraft.errors import CohortError

BLOCK = 20_000  # rows held as text at a time
AHEAD = 5  # blocks read together: a row group is unpacked anew for every read
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
) -> Iterator[RawTable]:
    """As `read`, in parts of a bounded size; cells that are exact numbers stay numbers.

    Of the file `rows` rows from `start` on, or all of them.
    """
    del header
    yield from _blocks(
        path,
        expected,
        optional,
        rows=BLOCK * AHEAD,
        ahead=1,
        form=_numbers_or_text,
        of=(start, rows),
    )


def blocks(
    path: Path, *, expected: Sequence[str], optional: Sequence[str] = (), rows: int = BLOCK
) -> Iterator[RawTable]:
    """As `read`, at most `rows` at a time, null where a cell is; at least one table."""
    yield from _blocks(path, expected, optional, rows=rows, ahead=AHEAD, form=as_text)


def _blocks(
    path: Path,
    expected: Sequence[str],
    optional: Sequence[str],
    *,
    rows: int,
    ahead: int,
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
    for start in range(begin, max(1, total), rows * ahead):
        some = _cells(path, scan.slice(start, min(rows * ahead, max(1, total) - start)), form)
        for at in range(0, max(1, len(some)), rows):
            cells = some[at : at + rows]
            first = start + at + 1
            yield RawTable(cells, np.arange(first, first + len(cells), dtype=np.int64))


def _numbers_or_text(cells: pl.DataFrame) -> pl.DataFrame:
    text = [name for name, kind in cells.schema.items() if kind not in EXACT]
    return cells.with_columns(as_text(cells.select(text)).fill_null(""))


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


def _scan(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False)  # else the file "a*" would be all that begin with a
