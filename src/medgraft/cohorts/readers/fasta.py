"""FASTA and FASTQ, plain or gzipped, with an optional table of labels beside them."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import dnaio
import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.cohorts.files import content, inside
from medgraft.cohorts.readers import csv
from medgraft.cohorts.table import Problem, RawTable, header_problems, refuse
from medgraft.errors import CohortError

ID, SEQUENCE = "id", "sequence"
FORMATS = {b">": "fasta", b"@": "fastq"}


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


def _records(path: Path) -> pl.DataFrame:
    """Columns id, sequence, line (where the record begins) of every record in the file."""
    data = content(path).replace(b"\r\n", b"\n")
    begins = data.lstrip()[:1]
    if begins not in FORMATS:
        raise CohortError(f'{path}: begins with neither ">" (FASTA) nor "@" (FASTQ)')
    try:
        with dnaio.open(io.BytesIO(data.lstrip()), fileformat=FORMATS[begins]) as file:
            rows = [(record.id, record.sequence) for record in file]
    except (dnaio.FileFormatError, UnicodeDecodeError) as error:
        raise CohortError(f"{path}: not a whole {FORMATS[begins].upper()} file: {error}") from None
    names, sequences = zip(*rows, strict=True)
    return pl.DataFrame(
        {ID: names, SEQUENCE: sequences, "line": _lines(data, begins, len(rows))},
        schema={ID: pl.String, SEQUENCE: pl.String, "line": pl.Int64},
    )


def _lines(data: bytes, begins: bytes, records: int) -> NDArray[np.int64]:
    """The line on which each record begins."""
    blank = data[: len(data) - len(data.lstrip())].count(b"\n")
    if begins == b"@":
        return blank + 1 + 4 * np.arange(records)
    text = np.frombuffer(data, np.uint8)
    starts = np.concatenate([[0], np.flatnonzero(text == ord("\n")) + 1])
    starts = starts[starts < len(text)]
    return np.flatnonzero(text[starts] == begins[0]) + 1


def _checked(records: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """The records that hold something and come once; what is wrong with the others."""
    first = records[ID].is_first_distinct()
    empty = records[SEQUENCE].str.len_bytes() == 0
    problems = [
        *_each(records.filter(empty), "is empty, expected a sequence"),
        *_each(records.filter(~first & ~empty), "comes a second time"),
    ]
    return records.filter(first & ~empty), problems


def _each(records: pl.DataFrame, what: str) -> Iterator[Problem]:
    for name, line in records.select(ID, "line").iter_rows():
        yield Problem(line, f'record "{name}": {what}')


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
        *_each(frame.filter(~known), f"has a label, and none of this name is in {path}"),
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
