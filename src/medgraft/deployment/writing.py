"""Answers to a file that is whole or not there, however many they are."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import polars as pl

from medgraft.errors import MedgraftError

ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")


class Writer(Protocol):
    """Takes a table's rows in blocks, which all have the same columns."""

    def add(self, rows: pl.DataFrame) -> None:
        """Write rows behind those before."""


class Text:
    """Delimited text with a header; the same bytes every time, packed ones too."""

    def __init__(self, file: BinaryIO, delimiter: str) -> None:
        self.file, self.delimiter, self.started = file, delimiter, False

    def add(self, rows: pl.DataFrame) -> None:
        """Write rows behind those before; the header first."""
        text = rows.write_csv(include_header=not self.started, separator=self.delimiter)
        self.file.write(text.encode())
        self.started = True


class Parquet:
    """A file for each block, in a folder; polars joins them without holding them all."""

    def __init__(self, folder: Path) -> None:
        self.folder: Path = folder
        self.parts: list[Path] = []

    def add(self, rows: pl.DataFrame) -> None:
        """Keep rows as the next file."""
        self.parts.append(self.folder / f"part{len(self.parts)}.parquet")
        rows.write_parquet(self.parts[-1])

    def join(self, path: Path) -> None:
        """Write all rows, in order."""
        pl.scan_parquet(self.parts, glob=False).sink_parquet(path)


@contextmanager
def table(path: Path) -> Iterator[Writer]:
    """Writes rows to `path` by the ending of its name, whole at the end of the block or not at all.

    Raises:
        MedgraftError: the ending is none of `ENDINGS`, or the file cannot be written.
    """
    if not path.name.lower().endswith(ENDINGS):
        raise MedgraftError(f"{path}: expected a name that ends in {', '.join(ENDINGS)}")
    with replacing(path) as fresh, ExitStack() as stack:
        if path.suffix.lower() == ".parquet":
            parts = Parquet(fresh.parent)
            yield parts
            parts.join(fresh)
            return
        file: BinaryIO = stack.enter_context(fresh.open("wb"))
        if path.suffix.lower() == ".gz":
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
            file = cast(BinaryIO, stack.enter_context(packed))
        yield Text(file, "\t" if ".tsv" in path.name.lower()[-7:] else ",")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place to write a file, which replaces `path` at the end of the block.

    Raises:
        MedgraftError: it cannot be written there, as into a model, whose seal it would break.
    """
    above = Path(os.path.realpath(path)).parents  # `resolve` raises over links in a circle
    if sealed := [folder for folder in above if (folder / "champion.json").is_file()]:
        raise MedgraftError(f"{path}: {sealed[0]} is a model, and sealed: expected another folder")
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as place:
            fresh = Path(place) / path.name
            yield fresh
            fresh.replace(path)
    except OSError as error:
        raise MedgraftError(f"{path}: cannot be written: {error.strerror or error}") from None


def put(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all; its folder is made where there is none.

    Raises:
        MedgraftError: it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MedgraftError(f"{path}: cannot be written: {error.strerror}") from None
    with replacing(path) as fresh:
        fresh.write_bytes(data)
