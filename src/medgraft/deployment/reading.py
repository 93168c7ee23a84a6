"""A file or folder of new records -> raw tables, a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from medgraft.cohorts.images import folders
from medgraft.cohorts.kinds.image import Image
from medgraft.cohorts.kinds.kind import Measured
from medgraft.cohorts.kinds.sequence import Sequence
from medgraft.cohorts.readers import csv, fasta, npz, parquet
from medgraft.cohorts.table import RawTable, joined
from medgraft.deployment.records import Records
from medgraft.errors import MedgraftError
from medgraft.preparation.findings import listed

BLOCK = 4096  # records at a time, or fewer:
NUMBERS = 2**22  # of all their measurements together
TABLES = "delimited text or .parquet"

Blocks: TypeAlias = "tuple[Iterator[RawTable], int | None]"


@dataclass(frozen=True)
class Incoming:
    """Raw tables with at least one block, and how they are read.

    records: the champion's, with the folder that cells name images from. total: how many records
    there are, where that is known before the last is read.
    """

    records: Records
    blocks: Iterator[RawTable]
    total: int | None


def incoming(records: Records, source: Path) -> Incoming:
    """The records of a file or folder, by the ending of its name.

    Args:
        records: what the champion takes.
        source: `.parquet`; FASTA or FASTQ for a champion of sequences; `.npz` or a folder of images
            for one of images; else delimited text with a header, of tabs where it ends in `.tsv`.
            `.gz` is unpacked. Images that a table names are looked for beside it.

    Raises:
        MedgraftError: the champion takes something else. What is wrong with the file is raised when
            the blocks are asked for.
    """
    folder = source.is_dir()
    ending = "" if folder else Path(source.name.lower().removesuffix(".gz")).suffix
    form = _folder if folder else FORMS.get(ending, _text)
    blocks, total = form(records, source, at_once(records))
    return Incoming(replace(records, folder=source if folder else source.parent), blocks, total)


def whole(records: Records, source: Path) -> tuple[Records, RawTable]:
    """All of a file or folder at once; see `incoming`."""
    new = incoming(records, source)
    return new.records, joined(new.blocks)


def at_once(records: Records) -> int:
    """How many records are held at a time: `BLOCK`, fewer where each is large."""
    x, _ = records.read(pl.DataFrame([records.example()]))
    return max(1, min(BLOCK, NUMBERS // max(x.size, len(records.columns))))


def _text(records: Records, source: Path, rows: int) -> Blocks:
    return _delimited(records, source, rows, records.description.format.options), None


def _tabs(records: Records, source: Path, rows: int) -> Blocks:
    return _delimited(records, source, rows, {"delimiter": "\t"}), None


def _delimited(
    records: Records, source: Path, rows: int, options: Mapping[str, Any]
) -> Iterator[RawTable]:
    columns, optional = tuple(records.columns), records.optional
    return csv.blocks(source, expected=columns, optional=optional, rows=rows, **options)


def _parquet(records: Records, source: Path, rows: int) -> Blocks:
    columns, optional = tuple(records.columns), records.optional
    tables = parquet.blocks(source, expected=columns, optional=optional, rows=rows)
    return tables, parquet.height(source)


def _fasta(records: Records, source: Path, rows: int) -> Blocks:
    column = _only(records, Sequence, source, "sequences")
    optional = [fasta.ID] if records.patient else []
    names = {fasta.SEQUENCE: column, fasta.ID: records.patient or ""}
    tables = fasta.blocks(source, expected=[fasta.SEQUENCE], optional=optional, rows=rows)
    return (replace(one, cells=one.cells.rename(names, strict=False)) for one in tables), None


def _npz(records: Records, source: Path, rows: int) -> Blocks:
    column = _only(records, Image, source, "images")
    return npz.blocks(source, image=column, rows=rows), npz.count(source)


def _folder(records: Records, source: Path, rows: int) -> Blocks:
    column = _only(records, Image, source, "files, which would be images")
    names = folders.names(source)
    return _listed(column, names, rows), len(names)


def _listed(column: str, names: list[str], rows: int) -> Iterator[RawTable]:
    for start in range(0, len(names), rows):
        cells = pl.Series(column, names[start : start + rows], dtype=pl.String)
        lines = np.arange(start + 1, start + 1 + len(cells), dtype=np.int64)
        yield RawTable(cells.to_frame(), lines, names=cells)


def _only(records: Records, kind: type[Measured], source: Path, held: str) -> str:
    """The column of this kind, which is then the only measurement."""
    for name, column in records.columns.items():
        if isinstance(column, kind):
            return name
    wanted = listed(list(records.columns))
    raise MedgraftError(f"{source}: holds {held}; this model takes {wanted}, in {TABLES}")


FASTA = (".fa", ".faa", ".fas", ".fasta", ".ffn", ".fna", ".fastq", ".fq")
FORMS: dict[str, Callable[[Records, Path, int], Blocks]] = {
    ".tsv": _tabs,
    ".parquet": _parquet,
    ".npz": _npz,
    **dict.fromkeys(FASTA, _fasta),
}
