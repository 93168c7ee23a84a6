"""Delimited text, plain or gzipped."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, takewhile
from pathlib import Path

import numpy as np
import polars as pl

from medgraft.cohorts.files import opened
from medgraft.cohorts.table import Problem, RawTable, header_problems, joined
from medgraft.errors import CohortError

DELIMITERS = ",;\t|"
BLOCK = 20_000  # rows held as Python objects at a time
REQUEST = Path("request")
"""What messages call lines that stand in no file."""
EXCEL = re.compile(r'"?sep=.?"?\s*')
NUL = "holds NUL bytes, expected UTF-8 text (is it UTF-16 or binary?)"

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
    return joined(
        blocks(path, expected=expected, header=header, delimiter=delimiter, optional=optional)
    )


def blocks(
    path: Path,
    *,
    expected: Sequence[str],
    header: bool = True,
    delimiter: str = ",",
    optional: Sequence[str] = (),
    rows: int = 0,
) -> Iterator[RawTable]:
    """As `read`, at most `rows` lines at a time (0: `BLOCK`); at least one table."""
    yield from _blocks(path, _lines(path), expected, header, delimiter, optional, rows or BLOCK)


def parse(
    lines: Iterable[str],
    *,
    expected: Sequence[str],
    delimiter: str = ",",
    optional: Sequence[str] = (),
) -> RawTable:
    """As `read`, of lines with their ends that stand in no file; the first names the columns."""
    return joined(_blocks(REQUEST, lines, expected, True, delimiter, optional, BLOCK))


def _blocks(
    path: Path,
    lines: Iterable[str],
    expected: Sequence[str],
    header: bool,
    delimiter: str,
    optional: Sequence[str],
    rows: int,
) -> Iterator[RawTable]:
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise CohortError(f"{path}: got delimiter {delimiter!r}, expected one character")
    records = _records(path, lines, delimiter)
    first = next(records, None)
    if first is None:
        raise CohortError(f"{path}: the file is empty")
    present = {cell.strip() for cell in first[1]}
    known = [*expected, *(name for name in optional if name in present)]
    names = _names(path, first[1], known, header)
    kept = records if header else chain([first], records)
    yield from _tables(kept, names, rows)


stream = blocks
"""As `read`, in parts of a bounded size; what `cohorts.load` reads tables by."""


def header(path: Path) -> tuple[Row, str]:
    """The names in the first line of a file nobody has described, and its likely delimiter.

    Raises:
        CohortError: the file cannot be read as text, or a name is empty.
    """
    lines = _lines(path)
    start = next(lines, "")
    delimiter = max(DELIMITERS, key=start.count)
    line, first = next(_records(path, chain([start], lines), delimiter), (1, []))
    names = [cell.strip() for cell in first]
    if not names:
        raise CohortError(f"{path}: the file is empty")
    if "" in names:
        number = names.index("") + 1
        raise CohortError(f"{path}, line {line}: column {number} has no name; name every column")
    return names, delimiter


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text, with their ends."""
    with opened(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        try:
            for number, line in enumerate(text, start=1):
                if "\0" in line:
                    raise CohortError(f"{path}: {NUL}")
                if number == 1 and EXCEL.fullmatch(line):
                    raise CohortError(
                        f"{path}, line 1: {line.strip()} is for Excel; remove the line"
                    )
                yield line
        except UnicodeDecodeError as error:
            if b"\0" in error.object:
                raise CohortError(f"{path}: {NUL}") from None
            where = f"{path}, line {_undecodable(path)}"
            raise CohortError(f"{where}: not UTF-8 text; save the file as UTF-8") from None


def _undecodable(path: Path) -> int:
    """The first line that is not UTF-8."""
    with opened(path) as file:
        return 1 + sum(1 for _ in takewhile(_decodable, file))


def _decodable(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _records(path: Path, lines: Iterable[str], delimiter: str) -> Iterator[Record]:
    """Every record that is not blank, with the line it begins on (a quoted cell may span lines)."""
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
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


def _tables(records: Iterator[Record], names: Row, most: int) -> Iterator[RawTable]:
    rows: list[Row] = []
    lines: list[int] = []
    problems: list[Problem] = []
    for line, row in records:
        if len(row) != len(names):
            text = f"found {_count(len(row))}, expected {len(names)}"
            problems.append(Problem(line, text))
        else:
            rows.append(row)
            lines.append(line)
        if len(rows) + len(problems) == most:
            yield _table(rows, lines, problems, names)
            rows, lines, problems = [], [], []
    yield _table(rows, lines, problems, names)


def _table(rows: list[Row], lines: list[int], problems: list[Problem], names: Row) -> RawTable:
    return RawTable(_frame(rows, names), np.array(lines, dtype=np.int64), tuple(problems))


def _count(columns: int) -> str:
    return "1 column" if columns == 1 else f"{columns} columns"


def _frame(rows: list[Row], names: Row) -> pl.DataFrame:
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    series = [
        pl.Series(name, column, dtype=pl.String)
        for name, column in zip(names, columns, strict=True)
    ]
    return pl.DataFrame(series).select(pl.all().str.strip_chars())
