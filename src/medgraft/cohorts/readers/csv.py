"""Delimited text, plain or gzipped."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from medgraft.cohorts.files import content
from medgraft.cohorts.table import Problem, RawTable, header_problems
from medgraft.errors import CohortError

DELIMITERS = ",;\t|"
BLOCK = 20_000  # rows held as Python objects at a time

Row = list[str]
Record = tuple[int, Row]


def read(
    path: Path,
    *,
    expected: Sequence[str],
    header: bool = True,
    delimiter: str = ",",
    optional: Sequence[str] = (),
) -> RawTable:
    """Read a delimited text file (UTF-8; `.gz` is unpacked); blank lines are passed over.

    Args:
        path: The file.
        expected: Names of the columns; in file order where `header` is False.
        header: Whether the first line names the columns.
        delimiter: One character.
        optional: Names of columns that a file with a header may hold as well.

    Raises:
        CohortError: the file cannot be read as text, or its header is not as expected. Rows of a
            wrong length do not raise; they are `problems` of the table returned.
    """
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise CohortError(f"{path}: got delimiter {delimiter!r}, expected one character")
    records = _records(path, _text(path), delimiter)
    first = next(records, None)
    if first is None:
        raise CohortError(f"{path}: the file is empty")
    present = {cell.strip() for cell in first[1]}
    known = [*expected, *(name for name in optional if name in present)]
    names = _names(path, first[1], known, header)
    kept = records if header else _chain(first, records)
    return _table(kept, names)


def _chain(first: Record, rest: Iterator[Record]) -> Iterator[Record]:
    yield first
    yield from rest


def _text(path: Path) -> str:
    data = content(path)
    if b"\0" in data:
        raise CohortError(f"{path}: holds NUL bytes, expected UTF-8 text (is it UTF-16 or binary?)")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CohortError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from None


def _records(path: Path, text: str, delimiter: str) -> Iterator[Record]:
    """Every record that is not blank, with the line it begins on (a quoted cell may span lines)."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for row in rows:
            if len(row) > 1 or (row and row[0].strip()):
                yield begins, row
            begins = rows.line_num + 1
    except csv.Error as error:
        raise CohortError(f"{path}, line {begins}: {error}") from None


def _names(path: Path, first: Row, expected: Sequence[str], header: bool) -> Row:
    """The column names, once the first line looks like the file described.

    A first line without any expected name is not shown: it may hold a patient.
    """
    cells = [cell.strip() for cell in first]
    if len(cells) == 1 < len(expected):
        raise CohortError(f"{path}: found 1 column, expected {len(expected)}{_hint(cells[0])}")
    if not header:
        if set(cells) == set(expected):
            raise CohortError(f"{path}: the first line names the columns; leave out `header`")
        return list(expected)
    if not set(cells) & set(expected):
        raise CohortError(f"{path}: the first line holds no declared column; is it a header?")
    if problems := list(header_problems(cells, expected)):
        raise CohortError("\n".join(f"{path}: {problem}" for problem in problems))
    return cells


def _hint(line: str) -> str:
    likely = max(DELIMITERS, key=line.count)
    return f": is the delimiter {likely!r}?" if likely in line else ""


def _table(records: Iterator[Record], names: Row) -> RawTable:
    blocks: list[pl.DataFrame] = [_frame([], names)]
    rows: list[Row] = []
    lines: list[int] = []
    problems: list[Problem] = []
    for line, row in records:
        if len(row) != len(names):
            text = f"found {_count(len(row))}, expected {len(names)}"
            problems.append(Problem(line, text))
            continue
        rows.append(row)
        lines.append(line)
        if len(rows) == BLOCK:
            blocks.append(_frame(rows, names))
            rows = []
    blocks.append(_frame(rows, names))
    return RawTable(pl.concat(blocks), np.array(lines, dtype=np.int64), tuple(problems))


def _count(columns: int) -> str:
    return "1 column" if columns == 1 else f"{columns} columns"


def _frame(rows: list[Row], names: Row) -> pl.DataFrame:
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    series = [
        pl.Series(name, column, dtype=pl.String)
        for name, column in zip(names, columns, strict=True)
    ]
    return pl.DataFrame(series).select(pl.all().str.strip_chars())
