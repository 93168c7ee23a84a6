"""A list of DICOM files; who each shows is read from the file itself."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from medgraft.cohorts.files import content, inside
from medgraft.cohorts.images import dicom
from medgraft.cohorts.readers import csv
from medgraft.cohorts.table import RawTable, did_you_mean
from medgraft.errors import CohortError


def read(
    path: Path,
    *,
    expected: Sequence[str],
    header: bool = True,
    optional: Sequence[str] = (),
    delimiter: str = ",",
    image: str = "image",
    patient: str = "patient",
) -> RawTable:
    """Read a delimited list of files and add the column `patient` from the files' headers.

    The identifier groups a patient's images in memory; what is written to disk is a number. A file
    that names no patient, or cannot be read, leaves the cell empty: that row is refused later.

    Args:
        path: The list.
        expected: Names of the columns described, `patient` among them.
        header: Whether the list's first line names its columns.
        optional: Names of columns that a list with a header may hold as well.
        delimiter: One character.
        image: The column with the files' names, relative to the list.
        patient: The column to add.

    Raises:
        CohortError: as for delimited text.
    """
    listed = [name for name in expected if name != patient]
    table = csv.read(path, expected=listed, header=header, optional=optional, delimiter=delimiter)
    if image not in table.cells.columns:
        hint = did_you_mean(image, table.cells.columns)
        raise CohortError(f'{path}: no column is called "{image}", where images are named{hint}')
    who = [_patient(path.parent, name) for name in table.cells[image].to_list()]
    cells = table.cells.with_columns(pl.Series(patient, who, dtype=pl.String))
    return RawTable(cells, table.lines, table.problems)


def _patient(folder: Path, name: str) -> str:
    try:
        return dicom.patient(content(inside(folder, name)))
    except CohortError:
        return ""
