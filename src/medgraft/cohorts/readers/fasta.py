"""FASTA and FASTQ, plain or gzipped, with an optional table of labels beside them."""

import io
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path

import dnaio
import polars as pl

from medgraft.cohorts.files import inside, opened
from medgraft.cohorts.readers import csv
from medgraft.cohorts.table import Problem, RawTable, header_problems, refuse
from medgraft.errors import CohortError

ID, SEQUENCE = "id", "sequence"
FORMATS = {b">": "fasta", b"@": "fastq"}
COLUMNS = {ID: pl.String, SEQUENCE: pl.String, "line": pl.Int64}
EMPTY = "is empty, expected a sequence"
# Of what dnaio says; the rest quotes the line, which may hold a name.
REASONS = (
    "Premature end of file",
    "Line expected to start with '@'",
    "Line expected to start with '+'",
    "Expected '>' at beginning of record",
    "Length of sequence and qualities differ",
    "Sequence descriptions don't match",
)
BLOCK = 20_000  # records held as Python objects at a time


def read(
    path: Path,
    *,
    expected: Sequence[str],
    header: bool = True,
    optional: Sequence[str] = (),
    labels: str | None = None,
    key: str = ID,
    delimiter: str = ",",
) -> RawTable:
    """Read records as rows with the columns `id` (the header's first word) and `sequence`.

    Qualities of a FASTQ file are not read. A record that is empty, that comes twice or that has no
    label is among the `problems` of the table returned.

    Args:
        path: The file; `.gz` is unpacked.
        expected: Names of the columns described; `id` may be left out.
        header: Not for this format.
        optional: Names of columns that may be there as well.
        labels: A delimited text file beside `path`, one row for each record.
        key: The column of `labels` that holds the records' ids.
        delimiter: Of `labels`, one character.

    Raises:
        CohortError: the file is not whole, not in this format, or lacks a column expected; or a
            label has no record.
    """
    if not header:
        raise CohortError(f"{path}: FASTA names no columns; leave out `header`")
    everything = _records(path)
    records, problems = _checked(everything)
    if labels:
        beside = inside(path.parent, labels)
        told = _labels(beside, key, [*expected, *optional], delimiter)
        _refuse_labels(beside, told, key, everything[ID], path)
        problems += _unlabelled(records, told.cells[key], beside)
        told_by_id = told.cells.rename({key: ID})
        records = records.join(told_by_id, on=ID, how="inner", maintain_order="left")
    cells = _named(path, records, expected, optional)
    return RawTable(cells, records["line"].to_numpy(), tuple(problems), records[ID])


def blocks(
    path: Path, *, expected: Sequence[str], optional: Sequence[str] = (), rows: int = BLOCK
) -> Iterator[RawTable]:
    """As `read` without labels, at most `rows` records at a time; at least one table.

    A record that comes twice is given twice: to know, all names would have to be kept.
    """
    for records in _blocks(path, rows):
        empty = records[SEQUENCE].str.len_bytes() == 0
        full = records.filter(~empty)
        cells = _named(path, full, expected, optional)
        problems = tuple(_each(records.filter(empty), EMPTY))
        yield RawTable(cells, full["line"].to_numpy(), problems, full[ID])


def _records(path: Path) -> pl.DataFrame:
    """Columns id, sequence, line (where the record begins) of every record in the file."""
    return pl.concat(_blocks(path, BLOCK))


def _blocks(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    """The columns of `_records`, at most `rows` records at a time; at least one frame."""
    blank, begins = _beginning(path)
    if begins not in FORMATS:
        raise CohortError(f'{path}: begins with neither ">" (FASTA) nor "@" (FASTQ)')
    with _text(path) as file:
        number = 1 + len(re.findall(rb"\r\n|\r|\n", file.read(blank)))
        lines = count(number, 4) if begins == b"@" else _headers(path)
        try:
            with dnaio.open(file, fileformat=FORMATS[begins]) as records:
                # A FASTA record without a line would be lost; a FASTQ file's lines have no end.
                told = zip(records, lines, strict=begins == b">")
                while block := [(one.id, one.sequence, line) for one, line in islice(told, rows)]:
                    yield pl.DataFrame(block, schema=COLUMNS, orient="row")
        except (dnaio.FileFormatError, UnicodeDecodeError) as error:
            kind = FORMATS[begins].upper()
            raise CohortError(
                f"{path}{_where(error)}: not a whole {kind} file{_why(error)}"
            ) from None
    yield pl.DataFrame(schema=COLUMNS)


@contextmanager
def _text(path: Path) -> Iterator[io.BufferedReader]:
    """A file behind the mark that some editors put before UTF-8."""
    with opened(path) as file:
        if file.peek(len(BOM_UTF8)).startswith(BOM_UTF8):
            file.read(len(BOM_UTF8))
        yield file


def _where(error: Exception) -> str:
    line = getattr(error, "line", None)
    return "" if line is None else f", line {line + 1}"


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return ": not ASCII text"
    told = next((reason for reason in REASONS if reason in str(error)), "")
    return told and f": {told[0].lower()}{told[1:]}"


def _beginning(path: Path) -> tuple[int, bytes]:
    """How many bytes are blank before the first that is not, and that one."""
    blank = 0
    with _text(path) as file:
        while (byte := file.read(1)).isspace():
            blank += 1
    return blank, byte


def _headers(path: Path) -> Iterator[int]:
    """The line on which each record of a FASTA file begins."""
    # As dnaio tells a header: any line end, blanks around it do not count.
    with _text(path) as file:
        for number, line in enumerate(io.TextIOWrapper(file), 1):
            if line.strip().startswith(">"):
                yield number


def _checked(records: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """The records that hold something and come once; what is wrong with the others."""
    first = records[ID].is_first_distinct()
    empty = records[SEQUENCE].str.len_bytes() == 0
    problems = [
        *_each(records.filter(empty), EMPTY),
        *_each(records.filter(~first & ~empty), "comes a second time"),
    ]
    return records.filter(first & ~empty), problems


def _each(records: pl.DataFrame, what: str) -> Iterator[Problem]:
    for line in records["line"].to_list():
        yield Problem(line, f"the record {what}")


def _labels(beside: Path, key: str, columns: Sequence[str], delimiter: str) -> RawTable:
    """The table of labels: its key, and those of `columns` that no record holds."""
    told = [name for name in columns if name not in (ID, SEQUENCE, key)]
    return csv.read(beside, expected=[key, *dict.fromkeys(told)], delimiter=delimiter)


def _refuse_labels(beside: Path, told: RawTable, key: str, records: pl.Series, path: Path) -> None:
    """Raise for every row of the labels that belongs to no record, or not to it alone."""
    names = told.cells[key]
    frame = pl.DataFrame({ID: names, "line": told.lines})
    once, known = names.is_first_distinct(), names.is_in(records.to_list())
    problems = [
        *told.problems,
        *_each(frame.filter(~known), f"has a label, and none of its name is in {path}"),
        *_each(frame.filter(known & ~once), "is labelled a second time"),
    ]
    refuse(beside, problems, len(problems))


def _unlabelled(records: pl.DataFrame, labelled: pl.Series, beside: Path) -> Iterator[Problem]:
    lacking = records.filter(~records[ID].is_in(labelled.to_list()))
    return _each(lacking, f"has no label in {beside}")


def _named(
    path: Path, records: pl.DataFrame, expected: Sequence[str], optional: Sequence[str]
) -> pl.DataFrame:
    """The columns described; `id` is one of them only where it is spoken of."""
    spoken = {*expected, *optional}
    names = [n for n in records.columns if n != "line" and (n != ID or n in spoken)]
    known = [*expected, *(name for name in optional if name in names)]
    if wrong := list(header_problems(names, known)):
        raise CohortError("\n".join(f"{path}: {problem}" for problem in wrong))
    return records.select(names)
