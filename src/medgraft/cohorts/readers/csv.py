"""Delimited text, plain or gzipped."""

import csv
import io
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
import polars as pl
from polars import selectors as cs

from medgraft.cohorts.files import opened
from medgraft.cohorts.table import NONE, Problem, RawTable, Types, header_problems, joined
from medgraft.errors import CohortError

DELIMITERS = ",;\t|"
BLOCK = 20_000  # rows held as Python objects at a time
# Bytes of lines that polars splits at a time; for more the C library asks the system every time.
PIECE = 3 * 2**23
COUNTED = 2**18  # bytes of which one is counted at a time: a processor's cache holds them
REQUEST = Path("request")
"""What messages call lines that stand in no file."""
QUOTE = '"'
EXCEL = re.compile(r'"?sep=.?"?\s*')
NUL = "holds NUL bytes, expected UTF-8 text (is it UTF-16 or binary?)"

Row = list[str]


class Record(NamedTuple):
    """The cells of a record, the line it begins on, and the last: a quoted cell may span lines."""

    begins: int
    ends: int
    cells: Row


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
    rows: int | None = None,
    types: Types = NONE,
) -> Iterator[RawTable]:
    """As `read`, at most `rows` lines at a time, else as is convenient; at least one table.

    Polars splits lines up to the first piece with a blank line, another number of cells, a quote
    inside a cell or whatever else needs a closer look; from there on Python's `csv` reads. Cells of
    the columns in `types` have that type, up to the first piece with a cell that has not: from
    there on numbers alone have, and from the next on none.
    """
    records = _records(path, _lines(path), delimiter)
    names, first = _begun(path, records, expected, header, optional)
    begin = done = first.ends if header else 0
    with opened(path) as file:
        plain = _newlines(b"".join(islice(file, begin)))
        while plain and (text := _next_lines(file, rows)):
            while (cells := _split(text, names, delimiter, types)) is None and types:
                numbers = {name: kind for name, kind in types.items() if kind.is_numeric()}
                types = numbers if len(numbers) < len(types) else NONE
            if plain := cells is not None:
                yield RawTable(cells, np.arange(done + 1, done + 1 + len(cells)))
                done += len(cells)
    if done == begin or not plain:
        rest = islice(_lines(path), done, None)
        yield from _tables(_records(path, rest, delimiter, after=done), names, rows or BLOCK)


def parse(
    lines: Iterable[str],
    *,
    expected: Sequence[str],
    delimiter: str = ",",
    optional: Sequence[str] = (),
) -> RawTable:
    """As `read`, of lines with their ends that stand in no file; the first names the columns."""
    records = _records(REQUEST, lines, delimiter)
    names, _ = _begun(REQUEST, records, expected, True, optional)
    return joined(_tables(records, names, BLOCK))


def _begun(
    path: Path,
    records: Iterator[Record],
    expected: Sequence[str],
    header: bool,
    optional: Sequence[str],
) -> tuple[Row, Record]:
    """The names of the columns, and the first record, which may hold them."""
    first = next(records, None)
    if first is None:
        raise CohortError(f"{path}: the file is empty")
    present = {cell.strip() for cell in first.cells}
    known = [*expected, *(name for name in optional if name in present)]
    return _names(path, first.cells, known, header), first


stream = blocks
"""As `read`, in parts of a bounded size; what `cohorts.load` reads tables by."""


def about(path: Path) -> int:
    """How many rows a file may have, a tenth more than its first ones let expect."""
    with opened(path) as file:
        some = file.read(COUNTED)
    rows = sum(bool(line.strip()) for line in some.splitlines())
    return path.stat().st_size * rows * 11 // (10 * (len(some) or 1))


def header(path: Path) -> tuple[Row, str]:
    """The names in the first line of a file nobody has described, and its likely delimiter.

    Raises:
        CohortError: the file cannot be read as text, or a name is empty.
    """
    lines = _lines(path)
    start = next(lines, "")
    delimiter = max(DELIMITERS, key=start.count)
    first = next(_records(path, chain([start], lines), delimiter), Record(1, 1, []))
    names = [cell.strip() for cell in first.cells]
    if not names:
        raise CohortError(f"{path}: the file is empty")
    if "" in names:
        number = names.index("") + 1
        raise CohortError(
            f"{path}, line {first.begins}: column {number} has no name; name every column"
        )
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


def _records(
    path: Path, lines: Iterable[str], delimiter: str, *, after: int = 0
) -> Iterator[Record]:
    """Every record that is not blank, of lines that come `after` so many others."""
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise CohortError(f"{path}: got delimiter {delimiter!r}, expected one character")
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    begins = after + 1
    try:
        for row in rows:
            ends = after + rows.line_num
            if len(row) > 1 or (row and row[0].strip()):
                yield Record(begins, ends, row)
            begins = ends + 1
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


def _next_lines(file: BinaryIO, rows: int | None) -> bytes:
    if rows is not None:
        return b"".join(islice(file, rows))
    return file.read(PIECE) + file.readline()


def _newlines(text: bytes) -> bool:
    """Whether lines end at every `\\n` and nowhere else."""
    return b"\r" not in text or text.count(b"\r") == text.count(b"\r\n")


def _split(text: bytes, names: Row, delimiter: str, types: Types) -> pl.DataFrame | None:
    """The cells of lines about which Python's `csv` could have no other opinion.

    None, too, where a cell has another type than `types` says.
    """
    lines = _regular(text, len(names) - 1, delimiter)
    if lines is None:
        return None
    try:
        cells = pl.read_csv(
            text,
            has_header=False,
            separator=delimiter,
            quote_char=None,
            schema={name: types.get(name, pl.String()) for name in names},
            empty_string_is_null=False,
        )
    except pl.exceptions.PolarsError:
        return None
    if len(cells) != lines or any(_odd(column) for column in cells):
        return None
    if QUOTE.encode() not in text:
        return _stripped(cells)
    if any(isinstance(kind, pl.Enum) for kind in cells.dtypes):
        return None  # of whose texts one may have quotes
    return _unquoted(cells.with_columns(cs.string().str.strip_suffix("\r")))


def _regular(text: bytes, cuts: int, delimiter: str) -> int | None:
    """How many lines these are, where they are UTF-8 and each can have that many delimiters.

    Polars refuses a line with more cells than there are columns, so that as many as expected in all
    is as many in each.
    """
    if cuts == 0 or not delimiter.isascii() or text.startswith(BOM_UTF8) or b"\0" in text:
        return None
    lines = _count_of(b"\n", text) + (not text.endswith(b"\n"))
    sound = _newlines(text) and (text.isascii() or _decodable(text))
    return lines if sound and _count_of(delimiter.encode(), text) == lines * cuts else None


def _odd(column: pl.Series) -> bool:
    """Whether a cell is longer than Python's `csv` reads, or says nan: as a number no cell does."""
    if column.dtype == pl.String:
        return cast(int, column.str.len_bytes().max() or 0) > csv.field_size_limit()
    return bool(column.dtype == pl.Float64 and column.is_nan().any())


def _count_of(byte: bytes, text: bytes) -> int:
    """As `text.count`, in a fifth of the time where the byte is frequent."""
    every = np.frombuffer(text, np.uint8)
    parts = (every[start : start + COUNTED] for start in range(0, len(every), COUNTED))
    return sum(int(np.count_nonzero(part == byte[0])) for part in parts)


def _unquoted(cells: pl.DataFrame) -> pl.DataFrame | None:
    """The cells without the quotes around them; None where a quote is anywhere else."""
    texts = [column for column in cells if column.dtype == pl.String]
    cell = pl.col([text.name for text in texts if text.str.contains(QUOTE, literal=True).any()])
    bare = cell.str.strip_chars(QUOTE)
    taken = cell.str.len_bytes() - bare.str.len_bytes()
    around = (taken == 0) | ((taken == 2) & cell.str.starts_with(QUOTE) & cell.str.ends_with(QUOTE))
    sound = (around & ~bare.str.contains(QUOTE, literal=True)).all()
    if not cells.select(pl.all_horizontal(sound)).item():
        return None
    return _stripped(cells.with_columns(bare))


def _tables(records: Iterator[Record], names: Row, most: int) -> Iterator[RawTable]:
    rows: list[Row] = []
    lines: list[int] = []
    problems: list[Problem] = []
    for line, _, row in records:
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
    return _stripped(pl.DataFrame(series))


def _stripped(cells: pl.DataFrame) -> pl.DataFrame:
    return cells.with_columns(cs.string().str.strip_chars())
